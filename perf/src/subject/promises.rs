//! What messages are promised: of plain clients, and of oslo.messaging's drivers.

use crate::workload::promises::Promises;
use crate::workload::workload::{Operation, Workload};

/// A client that asks for as little as the workload allows.
pub(crate) fn plain(workload: &Workload) -> Promises {
    let confirms = matches!(
        workload.operation,
        Operation::PublishConfirmed | Operation::CastConfirmed | Operation::Notify
    );
    Promises {
        confirmed: publishes(workload).then_some(confirms),
        acknowledged: is_received(workload).then_some(false),
        mandatory: publishes(workload).then_some(false),
        persistent: publishes(workload).then_some(false),
    }
}

/// oslo.messaging's `rabbit` driver: everything is confirmed, acknowledged and persistent; replies
/// and notifications are mandatory.
pub(crate) fn kombu(workload: &Workload) -> Promises {
    let mandatory = matches!(
        workload.operation,
        Operation::Call
            | Operation::FirstCall
            | Operation::Notify
            | Operation::CallUnroutable
            | Operation::CastUnroutable
    );
    all(workload, mandatory, true)
}

/// oslo.messaging's former `pika` driver with its defaults: requests are mandatory as well, and
/// nothing is persistent.
pub(crate) fn pika(workload: &Workload) -> Promises {
    all(workload, workload.operation != Operation::Fanout, false)
}

fn all(workload: &Workload, mandatory: bool, persistent: bool) -> Promises {
    if workload.operation == Operation::Idle {
        return Promises::default();
    }
    Promises {
        confirmed: Some(true),
        acknowledged: is_received(workload).then_some(true),
        mandatory: Some(mandatory),
        persistent: Some(persistent),
    }
}

fn publishes(workload: &Workload) -> bool {
    !matches!(workload.operation, Operation::Consume | Operation::Idle)
}

fn is_received(workload: &Workload) -> bool {
    workload.is_served() || workload.operation == Operation::Consume
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(name: &str) -> Workload {
        name.parse().expect("in the catalogue")
    }

    #[test]
    fn plain_clients_promise_less_than_oslo_s_drivers() {
        let call = workload("call-1");
        assert_ne!(plain(&call), kombu(&call));
        let promised = Promises {
            confirmed: Some(true),
            acknowledged: Some(true),
            mandatory: Some(true),
            persistent: Some(true),
        };
        assert_eq!(kombu(&call), promised);
        assert_eq!(kombu(&workload("cast-confirmed")).acknowledged, None, "nobody receives it");
        assert_eq!(plain(&workload("engine-publish-confirmed")).confirmed, Some(true));
        assert_eq!(plain(&workload("engine-consume-source")).acknowledged, Some(false));
        assert_eq!(kombu(&workload("idle-1")), Promises::default());
    }
}
