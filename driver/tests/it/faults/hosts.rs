//! URLs with several hosts, one of which answers but is unusable: a load balancer's page, or a
//! broker that refuses the login.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leveret::engine::loopback::{Loopback, LoopbackConfig};
use leveret::{ConnectionState, ErrorKind, Transport};
use leveret_support::Broker;
use serde_json::json;
use tokio::task::block_in_place;

use super::{BACK, within};
use crate::support::fixture::{Notes, client, connect, echo, run, server};

/// First connects of each kind. Each connect shuffles the hosts.
const CONNECTS: usize = 10;
/// First connects in which a host of two is tried first at least once: all but one time in 2^64.
const CONNECTS_MAX: usize = 64;
/// Losses of one connection, all within the 30 s in which a failed host is tried last.
const LOSSES: u64 = 6;

/// A server that answers every client with an HTTP page.
struct Page {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Page {
    fn start() -> Self {
        Self::start_at(0)
    }

    fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<AtomicUsize> = Arc::default();
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::Relaxed);
                // The client may have disconnected already.
                let _ = stream.read(&mut [0; 8]);
                let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
            }
        });
        Self { port, requests }
    }

    fn host(&self) -> String {
        format!("guest:guest@127.0.0.1:{}", self.port)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Returns the shared broker's host, with the right password or a wrong one.
fn broker_with(password: &str) -> String {
    format!("guest:{password}@127.0.0.1:{}", Broker::shared().port())
}

/// Returns a URL of these hosts and the virtual host of `url`.
fn url_of(hosts: &[&str], url: &str) -> String {
    format!("rabbit://{}/{}", hosts.join(","), super::vhost_of(url))
}

/// Checks that every first connect finds the working host.
async fn connects(bad: &str, url: &str) {
    connects_until(bad, url, || true).await;
}

/// The same, and goes on until the bad host `was_tried`.
async fn connects_until(bad: &str, url: &str, was_tried: impl Fn() -> bool) {
    for number in 0..CONNECTS_MAX {
        if number >= CONNECTS && was_tried() {
            break;
        }
        let begun = Instant::now();
        let transport = Transport::connect(&url_of(&[bad, &broker_with("guest")], url)).await;
        let transport = transport.unwrap_or_else(|error| panic!("connect {number}: {error}"));
        let elapsed = begun.elapsed();
        assert!(elapsed < Duration::from_secs(2), "connect {number} takes {elapsed:?}");
        transport.close().await.unwrap();
    }
}

#[test]
fn a_host_that_answers_http_is_passed_over() {
    let (page, url) = (Page::start(), Broker::shared().vhost("http"));
    run(connects_until(&page.host(), &url, || page.requests() > 0));
    assert!(page.requests() > 0, "the bad host was never tried");
}

#[test]
fn a_host_that_refuses_the_login_is_passed_over() {
    let url = Broker::shared().vhost("login");
    run(connects(&broker_with("wrong"), &url));
}

/// Returns a port without a listener.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks that a service keeps working while its connections are lost repeatedly. The bad host,
/// which `begin` starts at `port`, is unreachable until the first loss.
async fn recovers<T>(port: u16, url: &str, begin: impl FnOnce() -> T) {
    let broker = Broker::shared();
    let bad = format!("guest:guest@127.0.0.1:{port}");
    let transport = connect(&url_of(&[&bad, &broker_with("guest")], url)).await;
    let server = server(&transport, "t", "s", &Notes::default()).await;
    let client = client(&transport, "t").with_timeout(BACK);
    echo(&client, json!("before")).await;
    let _bad = begin();
    for loss in 1..=LOSSES {
        block_in_place(|| broker.close_connections_to(url));
        let begun = Instant::now();
        while server.stats().reconnects < loss || !server.health().is_ready() {
            let health = server.health();
            assert!(begun.elapsed() < BACK, "no recovery after loss {loss}: {health:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(echo(&client, json!(loss)).await, loss);
    }
    server.wait().await.unwrap();
    transport.close().await.unwrap();
}

#[test]
fn recovery_passes_over_a_host_that_answers_http() {
    let (port, url) = (free_port(), Broker::shared().vhost("http_recovery"));
    run(recovers(port, &url, || Page::start_at(port)));
}

#[test]
fn recovery_passes_over_a_host_that_refuses_the_login() {
    let (port, url) = (free_port(), Broker::shared().vhost("login_recovery"));
    let users = vec![("other".to_owned(), "other".to_owned())];
    let config = LoopbackConfig { port, users, ..LoopbackConfig::default() };
    run(recovers(port, &url, || Loopback::start(config).unwrap()));
}

/// A connection tries a failed host at most once while the other host works.
#[test]
fn a_host_that_failed_is_tried_last_for_a_while() {
    let (port, url) = (free_port(), Broker::shared().vhost("last"));
    run(async {
        let bad = format!("guest:guest@127.0.0.1:{port}");
        let transport = connect(&url_of(&[&broker_with("guest"), &bad], &url)).await;
        let page = Page::start_at(port);
        for loss in 1..=LOSSES {
            block_in_place(|| {
                Broker::shared().close_connections_to(&url);
                let connection = || transport.health().connections.remove(0);
                let is_back = || {
                    let it = connection();
                    it.reconnects == loss && it.state == ConnectionState::Open
                };
                let back = within(BACK, is_back);
                assert!(back.is_ok(), "no recovery after loss {loss}: {:?}", connection());
            });
        }
        assert!(page.requests() <= 1, "the bad host was tried {} times", page.requests());
        transport.close().await.unwrap();
    });
}

/// The error has the answer of the last host, after every host was tried, without delay.
#[test]
fn hosts_that_all_refuse_are_an_error_at_once() {
    let url = Broker::shared().vhost("all");
    run(async {
        for _ in 0..6 {
            let page = Page::start();
            let begun = Instant::now();
            let hosts = url_of(&[&page.host(), &broker_with("wrong")], &url);
            let error = Transport::connect(&hosts).await.expect_err("every host refuses");
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            assert_eq!(error.kind(), ErrorKind::TransportDriverError, "{error}");
            let text = error.to_string();
            assert!(text.contains("403") || text.contains("AMQP"), "{text}");
            assert_eq!(page.requests(), 1, "each host is tried once: {text}");
        }
    });
}
