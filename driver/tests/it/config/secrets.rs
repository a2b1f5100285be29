//! A second after a connection is open, its password is nowhere in the memory of the process.

use std::fs;
use std::io::{BufRead as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use leveret::{Notifier, Transport};
use leveret_support::{ALL, Authority, Broker, Peer};
use zeroize::Zeroizing;

use crate::support::tls::{at_port, listen};

/// What hides the password on its way to the client: its clear text must not be in a pipe's buffer.
const MASK: u8 = 0x5a;
const URL: &str = "LEVERET_TEST_URL";
/// In the URL, in place of the password.
const PLACE: &str = "PASSWORD";

/// The client: connects with the password that it reads, and stays.
#[test]
fn client() {
    let Ok(pattern) = std::env::var(URL) else { return };
    println(b"ready");
    let mut masked = String::new();
    std::io::stdin().lock().read_line(&mut masked).unwrap();
    let mut url = Zeroizing::new(String::with_capacity(1024));
    let (before, after) = pattern.split_once(PLACE).unwrap();
    url.push_str(before);
    for digits in masked.trim().as_bytes().chunks(2) {
        let digits = std::str::from_utf8(digits).unwrap();
        url.push((u8::from_str_radix(digits, 16).unwrap() ^ MASK).into());
    }
    url.push_str(after);
    let transport = Transport::connect_blocking(&url).unwrap();
    drop(url);
    Notifier::builder(&transport).topic("n").build().info_blocking((), "e", &()).unwrap();
    println(b"connected");
    let mut rest = String::new();
    let _ = std::io::stdin().lock().read_to_string(&mut rest);
}

fn println(line: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(line).and_then(|()| stdout.write_all(b"\n")).unwrap();
    stdout.flush().unwrap();
}

/// How often `text` is in the memory that the process may write.
fn count_in_memory(pid: u32, text: &str) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut count = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] =
            [range.0, range.1].map(|digits| u64::from_str_radix(digits, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        // The kernel's own pages cannot be read.
        if memory.seek(SeekFrom::Start(start)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            count += bytes.windows(text.len()).filter(|part| *part == text.as_bytes()).count();
        }
    }
    count
}

fn assert_forgotten(user: &str, vhost: &str, url: &str) {
    let broker = Broker::shared();
    let password = format!("carrot-{}-{user}", std::process::id());
    broker.operator().add_user(user, &password).unwrap();
    broker.set_permissions(user, vhost, ALL);
    let pattern = url.replacen("guest:guest", &format!("{user}:{PLACE}"), 1);
    let mut client = Peer::spawn_test("config::secrets::client", &[(URL, &pattern)]);
    let masked: String = password.bytes().map(|byte| format!("{:02x}", byte ^ MASK)).collect();
    assert_eq!(client.ask(&masked), "connected");
    std::thread::sleep(Duration::from_secs(1));
    assert!(count_in_memory(client.pid(), PLACE) > 0, "what is there is found");
    assert_eq!(count_in_memory(client.pid(), &password), 0, "{pattern}");
    client.stop();
}

#[test]
fn a_password_is_forgotten_a_second_after_the_handshake() {
    let url = Broker::shared().vhost("secrets");
    let authority = Authority::new();
    let tls = at_port(&url, listen(&authority));
    let ca = authority.ca().display().to_string();
    assert_forgotten("plain", &url, &format!("{url}?rabbit_login_method=PLAIN"));
    assert_forgotten("amqplain", &url, &format!("{url}?rabbit_login_method=AMQPLAIN"));
    assert_forgotten("encrypted", &url, &format!("{tls}?ssl=true&ssl_ca_file={ca}"));
    assert_forgotten("pika", &url, &url.replacen("rabbit", "pika", 1));
}
