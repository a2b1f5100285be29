//! The broker of a suite: named by a URL, started for it, or inside this process.

use std::any::Any;

use anyhow::{Context, Result, anyhow};
use leveret_support::{Authority, Broker, Leaf, TlsListener};

use crate::broker::address::BrokerAddress;
use crate::broker::in_process;
use crate::subject::raw::client;

/// Where a suite gets its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerChoice<'a> {
    Url(&'a str),
    /// A RabbitMQ node of our own, on free ports and with a data folder of its own.
    Private,
    Embedded,
    /// No workload needs one.
    Needless,
}

/// A broker, and what keeps it running.
pub(super) struct SuiteBroker {
    pub(super) address: BrokerAddress,
    /// The same broker behind TLS, if it is one of our own.
    pub(super) tls: Option<BrokerAddress>,
    /// Product and version.
    pub(super) version: Option<String>,
    _running: Option<Box<dyn Any>>,
}

impl SuiteBroker {
    pub(super) fn start(choice: BrokerChoice<'_>) -> Result<Self> {
        let mut tls = None;
        let (address, running): (_, Option<Box<dyn Any>>) = match choice {
            BrokerChoice::Url(url) => (BrokerAddress::parse(url)?, None),
            BrokerChoice::Private => {
                let broker = private()?;
                let address = BrokerAddress::parse(&broker.url())?;
                tls = Some(behind_tls(&broker, &address));
                (address, Some(Box::new(broker)))
            }
            BrokerChoice::Embedded => {
                let (address, peer) = in_process::broker()?;
                (address, Some(peer))
            }
            BrokerChoice::Needless => (BrokerAddress::local(([127, 0, 0, 1], 0).into()), None),
        };
        let version = match choice {
            BrokerChoice::Needless => None,
            _ => Some(client::broker_version(&address)?),
        };
        Ok(Self { address, tls, version, _running: running })
    }
}

/// Opens a listener for TLS.
fn behind_tls(broker: &Broker, plain: &BrokerAddress) -> BrokerAddress {
    let authority = Authority::new();
    let shows = authority.issue("broker", &Leaf::default());
    let versions = &["tlsv1.3"];
    let listener = TlsListener { shows: &shows, trusts: authority.ca(), asks: false, versions };
    let port = broker.listen_tls(&listener);
    BrokerAddress { port, tls_ca: Some(authority.ca()), ..plain.clone() }
}

fn private() -> Result<Broker> {
    let nodes = Broker::try_cluster(1).map_err(|reason| {
        anyhow!(
            "no private RabbitMQ could be started: {reason}; install rabbitmq-server, name a \
             broker with --url, or use --embedded"
        )
    })?;
    nodes.into_iter().next().context("a cluster of one node has one")
}
