//! Listeners for TLS at a broker, each with certificates and demands of its own.

use std::path::{Path, PathBuf};

use crate::broker::Broker;
use crate::tls::authority::Issued;

/// What a listener shows and asks for.
#[derive(Debug, Clone)]
pub struct TlsListener<'a> {
    /// The broker's certificate and key.
    pub shows: &'a Issued,
    /// The authority whose certificates clients may show.
    pub trusts: PathBuf,
    /// Whether clients have to show one.
    pub asks: bool,
    /// The versions it speaks, as Erlang names them: `tlsv1.2`, `tlsv1.3`.
    pub versions: &'a [&'a str],
}

impl Broker {
    /// Opens one more listener and returns its port on 127.0.0.1.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn listen_tls(&self, listener: &TlsListener<'_>) -> u16 {
        let TlsListener { shows, trusts, asks, versions } = listener;
        let [port] = crate::ports::draw();
        let text = |path: &Path| format!("\"{}\"", path.display());
        let versions: Vec<String> = versions.iter().map(|name| format!("'{name}'")).collect();
        let verify = if *asks { "verify_peer" } else { "verify_none" };
        self.eval(&format!(
            "ok = rabbit_networking:start_ssl_listener({{\"127.0.0.1\", {port}}}, \
             [{{cacertfile, {}}}, {{certfile, {}}}, {{keyfile, {}}}, {{versions, [{}]}}, \
              {{verify, {verify}}}, {{fail_if_no_peer_cert, {asks}}}], 4).",
            text(trusts),
            text(&shows.cert),
            text(&shows.key),
            versions.join(", "),
        ));
        port
    }

    /// Lets clients log in by their certificates (`EXTERNAL`), each as the user whom its common
    /// name names.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn allow_external(&self) {
        self.eval(
            "[Plugin] = filelib:wildcard(filename:join(filename:dirname(code:lib_dir(rabbit)), \
             \"rabbitmq_auth_mechanism_ssl*\")), \
             true = code:add_patha(filename:join(Plugin, \"ebin\")), \
             application:load(rabbitmq_auth_mechanism_ssl), \
             ok = application:set_env(rabbit, ssl_cert_login_from, common_name), \
             ok = application:set_env(rabbit, ssl_options, [{verify, verify_peer}]), \
             ok = application:set_env(rabbit, auth_mechanisms, \
             ['PLAIN', 'AMQPLAIN', 'EXTERNAL']), \
             ok = rabbit_registry:register(auth_mechanism, <<\"EXTERNAL\">>, \
             rabbit_auth_mechanism_ssl).",
        );
    }
}
