//! What an operator does to a running broker: users, virtual hosts, queues, policies, alarms.
//!
//! Each is evaluated inside the node, in milliseconds. Invariant: a method that returned `Ok` has
//! taken effect on every node of the cluster. An error holds what the node answered. Not here:
//! signals and restarts (`broker`).

use std::io;

use crate::Broker;

/// The acting user in the broker's log.
const ACTOR: &str = "<<\"tests\">>";

/// What a user may do in a virtual host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// Configure, write and read everything.
    All,
    /// Configure, write and read nothing.
    None,
}

/// Which resource is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The memory high watermark.
    Memory,
    /// The free disk space limit.
    Disk,
}

impl Broker {
    /// Adds a user that may do nothing yet.
    ///
    /// # Errors
    /// What the node answered, if it did not do it; so with all methods here.
    pub fn add_user(&self, name: &str, password: &str) -> io::Result<()> {
        self.operate(&format!(
            "ok = rabbit_auth_backend_internal:add_user({}, {}, {ACTOR}).",
            binary(name),
            binary(password)
        ))
    }

    /// Deletes a user and closes its connections.
    pub fn delete_user(&self, name: &str) -> io::Result<()> {
        let name = binary(name);
        self.operate(&format!(
            "ok = rabbit_auth_backend_internal:delete_user({name}, {ACTOR}), \
             [catch rabbit_networking:close_connection(P, \"user deleted\") || \
              [{{pid, P}}, {{user, U}}] <- rabbit_networking:connection_info_all([pid, user]), \
              U =:= {name}], ok."
        ))
    }

    /// Sets what a user may do in a virtual host. Channels that are open may remember what they
    /// were allowed before.
    pub fn set_permissions(
        &self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> io::Result<()> {
        let pattern = match permissions {
            Permissions::All => "<<\".*\">>",
            Permissions::None => "<<\"^$\">>",
        };
        self.operate(&format!(
            "ok = rabbit_auth_backend_internal:set_permissions({}, {}, {pattern}, {pattern}, \
             {pattern}, {ACTOR}).",
            binary(user),
            binary(vhost)
        ))
    }

    /// Makes a virtual host and returns when every node of the cluster lets clients enter it.
    pub fn make_vhost(&self, name: &str) -> io::Result<()> {
        let name = binary(name);
        self.operate(&format!(
            "ok = case rabbit_vhost:add({name}, {ACTOR}) of {{ok, _}} -> ok; O -> O end, \
             Alive = fun(Node) -> true =:= \
             rpc:call(Node, rabbit_vhost_sup_sup, is_vhost_alive, [{name}]) end, \
             Up = fun Up(Tries) when Tries > 0 -> \
             case lists:all(Alive, [node() | nodes()]) of \
             true -> ok; false -> timer:sleep(20), Up(Tries - 1) end end, \
             ok = Up(1000)."
        ))
    }

    /// Deletes a virtual host with all that is in it, and closes its connections.
    pub fn remove_vhost(&self, name: &str) -> io::Result<()> {
        self.operate(&format!("ok = rabbit_vhost:delete({}, {ACTOR}).", binary(name)))
    }

    /// Deletes the queues of a virtual host whose names match a regular expression; how many.
    pub fn delete_queues(&self, vhost: &str, pattern: &str) -> io::Result<usize> {
        self.count(&format!(
            "length([rabbit_amqqueue:delete(Q, false, false, {ACTOR}) || \
             Q <- rabbit_amqqueue:list({}), {{resource, _, queue, N}} <- [element(2, Q)], \
             re:run(N, {}) =/= nomatch]).",
            binary(vhost),
            binary(pattern)
        ))
    }

    /// Deletes an exchange with its bindings; whether it was there.
    pub fn delete_exchange(&self, vhost: &str, name: &str) -> io::Result<bool> {
        let deleted = self.try_eval(&format!(
            "rabbit_exchange:delete(rabbit_misc:r({}, exchange, {}), false, {ACTOR}).",
            binary(vhost),
            binary(name)
        ))?;
        match deleted.as_str() {
            "ok" => Ok(true),
            "{error,not_found}" => Ok(false),
            other => Err(io::Error::other(format!("the exchange {name} stays: {other}"))),
        }
    }

    /// Deletes the bindings of a queue, but for that to the default exchange; how many.
    pub fn delete_bindings(&self, vhost: &str, queue: &str) -> io::Result<usize> {
        self.count(&format!(
            "length([ok = rabbit_binding:remove(B, {ACTOR}) || B <- \
             rabbit_binding:list_for_destination(rabbit_misc:r({}, queue, {})), \
             element(4, element(2, B)) =/= <<>>]).",
            binary(vhost),
            binary(queue)
        ))
    }

    /// Sets a policy by which queues whose names match refuse what is published to them, or clears
    /// it (`None`).
    pub fn set_refusing_policy(&self, vhost: &str, pattern: Option<&str>) -> io::Result<()> {
        let vhost = binary(vhost);
        self.operate(&match pattern {
            Some(pattern) => format!(
                "ok = rabbit_policy:set({vhost}, <<\"refuse\">>, {}, [{{<<\"max-length\">>, 0}}, \
                 {{<<\"overflow\">>, <<\"reject-publish\">>}}], 0, <<\"queues\">>, {ACTOR}).",
                binary(pattern)
            ),
            None => format!("ok = rabbit_policy:delete({vhost}, <<\"refuse\">>, {ACTOR})."),
        })
    }

    /// Raises or clears an alarm of this node: every node of its cluster blocks publishers.
    pub fn set_alarm(&self, alarm: Alarm, raised: bool) -> io::Result<()> {
        self.operate(match (alarm, raised) {
            (Alarm::Memory, true) => "vm_memory_monitor:set_vm_memory_high_watermark(0.000001).",
            (Alarm::Memory, false) => "vm_memory_monitor:set_vm_memory_high_watermark(0.4).",
            (Alarm::Disk, true) => "rabbit_disk_monitor:set_disk_free_limit(1 bsl 60).",
            (Alarm::Disk, false) => "rabbit_disk_monitor:set_disk_free_limit(50000000).",
        })
    }

    /// Closes every connection of the cluster with 320 CONNECTION_FORCED; how many.
    pub fn force_connections(&self, reason: &str) -> io::Result<usize> {
        self.count(&format!(
            "Open = rabbit_networking:connections(), \
             [catch rabbit_networking:close_connection(P, {reason:?}) || P <- Open], \
             length(Open)."
        ))
    }

    fn operate(&self, expressions: &str) -> io::Result<()> {
        self.try_eval(expressions).map(drop)
    }

    fn count(&self, expressions: &str) -> io::Result<usize> {
        self.try_eval(expressions)?.parse().map_err(io::Error::other)
    }
}

/// An Erlang binary of this text.
fn binary(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("<<\"{escaped}\">>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_an_erlang_binary() {
        assert_eq!(binary("a"), "<<\"a\">>");
        assert_eq!(binary("^a\\.\"b"), "<<\"^a\\\\.\\\"b\">>");
    }
}
