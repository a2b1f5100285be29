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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parsed(text: &str) -> TransportUrl {
        text.parse().unwrap()
    }

    #[test]
    fn the_scheme_decides_the_port_and_ssl_does_not() {
        let ports = |text: &str| -> Vec<u16> {
            hosts(&parsed(text)).iter().map(|host| host.port).collect()
        };
        assert_eq!(ports("rabbit://a,b:7/"), [5672, 7]);
        assert_eq!(ports("rabbits://a,b:7/"), [5671, 7]);
        assert_eq!(ports("amqps://"), [5671]);
        assert_eq!(ports("rabbit://?ssl=true"), [5672], "as oslo");
    }

    #[test]
    fn tls_is_on_by_scheme_or_option_and_never_for_the_loopback_broker() {
        let tls = |text: &str, config: DriverConfig| {
            let url = parsed(text);
            let driver = DriverName::of(&url).unwrap();
            tls(&url, driver, &config.overridden_by(&url).unwrap())
        };
        let is_on = |text: &str| tls(text, DriverConfig::default()).enabled;
        assert!(is_on("rabbits://h") && is_on("kombus://h") && is_on("rabbit+ssl://h"));
        assert!(is_on("rabbit://h?ssl=1") && is_on("pika://h?ssl=1"));
        assert!(!is_on("rabbit://h") && !is_on("fake://?ssl=1"));

        let mut config = DriverConfig::default();
        (config.pika.ssl, config.pika.ssl_ca_certs) = (true, Some("pika.pem".into()));
        config.tls.ca_file = Some("rabbit.pem".into());
        let ca = |tls: TlsOptions| tls.ca_file.filter(|_| tls.enabled);
        let found = ca(tls("pika://h", config.clone()));
        assert_eq!(found.as_deref(), Some(Path::new("pika.pem")), "its own before others");
        assert_eq!(ca(tls("rabbit://h", config.clone())), None);
        let found = ca(tls("rabbits://h", config));
        assert_eq!(found.as_deref(), Some(Path::new("rabbit.pem")));
    }
}
