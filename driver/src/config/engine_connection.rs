//! URL and options as the engine's description of a connection, whatever the scheme of the URL.

use leveret_engine::{ConnectionConfig, Host, Login, Secret};

use crate::config::driver_config::{DriverConfig, LoginMethod};
use crate::config::driver_name::{DriverName, is_secure};
use crate::config::options::recovery::Failover;
use crate::config::options::tls::TlsOptions;
use crate::config::url::{AMQP_PORT, AMQPS_PORT, TransportHost, TransportUrl};

/// The connection that URL and options describe, to these hosts.
pub(crate) fn config(
    url: &TransportUrl,
    driver: DriverName,
    hosts: Vec<Host>,
    options: &DriverConfig,
) -> ConnectionConfig {
    let mut config = ConnectionConfig::new(hosts);
    config.vhost = url.virtual_host().to_owned();
    config.login = match options.login_method {
        LoginMethod::Plain => Login::Plain,
        LoginMethod::AmqPlain => Login::AmqPlain,
        LoginMethod::External => Login::External,
    };
    config.heartbeat = options.heartbeat;
    config.recovery.backoff = options.retry_interval;
    config.recovery.backoff_step = options.retry_backoff;
    config.recovery.backoff_max = options.retry_interval_max;
    options.connection.apply_to(&mut config);
    config.recovery.delay = options.reconnect_delay;
    config.recovery.splay = options.reconnect_splay;
    config.recovery.shuffle = options.failover == Failover::Shuffle;
    if driver == DriverName::Pika {
        options.pika.apply_to(&mut config);
    }
    #[cfg(feature = "tls")]
    {
        config.tls = tls(url, driver, options).for_engine();
    }
    config
}

/// The options of TLS that apply to a URL. The broker of this process speaks none.
pub(crate) fn tls(url: &TransportUrl, driver: DriverName, options: &DriverConfig) -> TlsOptions {
    let mut tls = options.tls.clone();
    if driver == DriverName::Pika {
        options.pika.apply_to_tls(&mut tls);
    }
    tls.enabled = (tls.enabled || is_secure(url)) && !driver.is_loopback();
    tls
}

/// The brokers that a URL names; `localhost` where it names none. Their port, where it names none,
/// is that of its scheme; `ssl` does not change it, as in oslo.
pub(crate) fn hosts(url: &TransportUrl) -> Vec<Host> {
    let port = if is_secure(url) { AMQPS_PORT } else { AMQP_PORT };
    let host = |host: &TransportHost| {
        Host::new(host.hostname(), host.explicit_port().unwrap_or(port))
            .with_login(host.username(), Secret::new(host.password()))
    };
    match url.hosts() {
        [] => vec![Host::new("localhost", port)],
        hosts => hosts.iter().map(host).collect(),
    }
}
