//! The table of which method answers which request.

use amq_protocol::protocol::AMQPClass;

/// Class and method id, as on the wire.
pub(super) type MethodId = (u16, u16);

/// Returns true if `reply` may answer `request`: almost always the next method id (AMQP 2.2.4),
/// with two exceptions.
pub(super) fn is_answered_by(request: MethodId, reply: MethodId) -> bool {
    match request {
        (40, 40) => reply == (40, 51),                      // exchange.unbind
        (60, 70) => reply == (60, 71) || reply == (60, 72), // basic.get: get-ok or get-empty
        (class, method) => reply == (class, method + 1),
    }
}

/// Returns the ids of a method.
pub(super) fn method_id(method: &AMQPClass) -> MethodId {
    (method.get_amqp_class_id(), method.get_amqp_method_id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_by_its_ok_method() {
        for (request, reply) in
            [((50, 10), (50, 11)), ((40, 40), (40, 51)), ((60, 70), (60, 72)), ((85, 10), (85, 11))]
        {
            assert!(is_answered_by(request, reply));
            assert!(!is_answered_by(request, (10, 11)));
        }
    }
}
