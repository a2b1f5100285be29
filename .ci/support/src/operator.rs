//! Operations on a running broker: users, virtual hosts, queues, policies, alarms.
//!
//! Each method evaluates an expression inside the node, in milliseconds. Invariant: a method that
//! returned `Ok` has taken effect on every node of the cluster. An error contains the node's
//! answer. RabbitMQ's channels cache permissions they have checked, so a change applies to channels
//! opened later. Not here: the variants that panic (`accounts`), signals and restarts (`broker`).

use std::io;

use crate::control::Control;

/// The user name that the broker logs for these operations.
const ACTOR: &str = "<<\"tests\">>";

/// Permissions in the order of `rabbitmqctl set_permissions`: patterns of the names a user may
/// configure, write to, and read from.
pub type Permissions = [&'static str; 3];

/// Permits every name.
pub const ALL: Permissions = [".*", ".*", ".*"];

/// A pattern that matches no name.
pub const NONE: &str = "^$";

/// The resource of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// The memory high watermark.
    Memory,
    /// The free disk space limit.
    Disk,
}

/// Changes a running broker; [`Broker::operator`](crate::Broker::operator) creates one. Every
/// method returns the node's answer as an error if the operation failed.
#[derive(Debug, Clone, Copy)]
pub struct Operator<'a> {
    control: &'a Control,
}

#[expect(
    clippy::missing_errors_doc,
    reason = "the docs of the type describe the errors of all methods"
)]
impl<'a> Operator<'a> {
    pub(crate) const fn new(control: &'a Control) -> Self {
        Self { control }
    }

    /// Adds a user without permissions.
    pub fn add_user(self, name: &str, password: &str) -> io::Result<()> {
        self.run(&format!(
            "ok = rabbit_auth_backend_internal:add_user({}, {}, {ACTOR}).",
            binary(name),
            binary(password)
        ))
    }

    /// Deletes a user and its permissions. RabbitMQ closes its connections in its own time.
    pub fn delete_user(self, name: &str) -> io::Result<()> {
        let name = binary(name);
        self.run(&format!("ok = rabbit_auth_backend_internal:delete_user({name}, {ACTOR})."))
    }

    /// Replaces the permissions of a user in a virtual host.
    pub fn set_permissions(
        self,
        user: &str,
        vhost: &str,
        permissions: Permissions,
    ) -> io::Result<()> {
        self.run(&format!(
            "ok = rabbit_auth_backend_internal:set_permissions({}, {}, {}, {ACTOR}).",
            binary(user),
            binary(vhost),
            permissions.map(binary).join(", ")
        ))
    }

    /// Adds a virtual host and returns when clients can enter it on every node of the cluster.
    /// While another process adds it, RabbitMQ lists a virtual host before clients can enter it.
    pub fn add_vhost(self, name: &str) -> io::Result<()> {
        let name = binary(name);
        self.run(&format!(
            "ok = case rabbit_vhost:add({name}, {ACTOR}) of {{ok, _}} -> ok; O -> O end, \
             Alive = fun(Node) -> true =:= \
             rpc:call(Node, rabbit_vhost_sup_sup, is_vhost_alive, [{name}]) end, \
             Up = fun Up(Tries) when Tries > 0 -> \
             case lists:all(Alive, [node() | nodes()]) of \
             true -> ok; false -> timer:sleep(20), Up(Tries - 1) end end, \
             ok = Up(1000)."
        ))
    }

    /// Removes a user's permissions in a virtual host.
    pub fn clear_permissions(self, user: &str, vhost: &str) -> io::Result<()> {
        self.run(&format!(
            "ok = rabbit_auth_backend_internal:clear_permissions({}, {}, {ACTOR}).",
            binary(user),
            binary(vhost)
        ))
    }

    /// Deletes a virtual host with its contents; RabbitMQ closes its connections.
    pub fn delete_vhost(self, name: &str) -> io::Result<()> {
        self.run(&format!("rabbit_vhost:delete({}, {ACTOR}).", binary(name)))
    }

    /// Deletes the queues of a virtual host whose names match a regular expression; returns how
    /// many. RabbitMQ cancels their consumers.
    pub fn delete_queues(self, vhost: &str, pattern: &str) -> io::Result<usize> {
        self.count(&format!(
            "length([catch rabbit_amqqueue:delete(Q, false, false, {ACTOR}) || \
             Q <- rabbit_amqqueue:list({}), {{resource, _, queue, N}} <- [element(2, Q)], \
             re:run(N, {}) =/= nomatch]).",
            binary(vhost),
            binary(pattern)
        ))
    }

    /// Deletes an exchange with its bindings, used or not; returns whether it existed.
    pub fn delete_exchange(self, vhost: &str, name: &str) -> io::Result<bool> {
        let deleted = self.control.eval(&format!(
            "rabbit_exchange:delete(rabbit_misc:r({}, exchange, {}), false, {ACTOR}).",
            binary(vhost),
            binary(name)
        ))?;
        match deleted.as_str() {
            "ok" => Ok(true),
            "{error,not_found}" => Ok(false),
            other => Err(io::Error::other(format!("cannot delete the exchange {name}: {other}"))),
        }
    }

    /// Deletes the bindings of the queues whose names match a regular expression, except those of
    /// the default exchange; returns how many.
    pub fn delete_bindings(self, vhost: &str, pattern: &str) -> io::Result<usize> {
        self.count(&format!(
            "length([rabbit_binding:remove(B, {ACTOR}) || \
             B <- rabbit_binding:list({}), \
             {{resource, _, queue, N}} <- [element(4, B)], \
             element(4, element(2, B)) =/= <<>>, re:run(N, {}) =/= nomatch]).",
            binary(vhost),
            binary(pattern)
        ))
    }

    /// Sets a policy for the queues of a virtual host whose names match `pattern`. `definition` is
    /// JSON. A policy of the same name is replaced.
    pub fn set_policy(
        self,
        vhost: &str,
        name: &str,
        pattern: &str,
        definition: &str,
    ) -> io::Result<()> {
        self.run(&format!(
            "ok = rabbit_policy:parse_set({}, {}, {}, {}, <<\"0\">>, <<\"queues\">>, {ACTOR}).",
            binary(vhost),
            binary(name),
            binary(pattern),
            binary(definition)
        ))
    }

    /// Clears a policy.
    pub fn clear_policy(self, vhost: &str, name: &str) -> io::Result<()> {
        let (vhost, name) = (binary(vhost), binary(name));
        self.run(&format!("ok = rabbit_policy:delete({vhost}, {name}, {ACTOR})."))
    }

    /// Raises or clears an alarm of this node; every node of its cluster then blocks or unblocks
    /// publishers.
    pub fn set_alarm(self, alarm: Alarm, raised: bool) -> io::Result<()> {
        self.run(match (alarm, raised) {
            (Alarm::Memory, true) => "vm_memory_monitor:set_vm_memory_high_watermark(0.000001).",
            (Alarm::Memory, false) => "vm_memory_monitor:set_vm_memory_high_watermark(0.4).",
            (Alarm::Disk, true) => "rabbit_disk_monitor:set_disk_free_limit(1 bsl 60).",
            (Alarm::Disk, false) => "rabbit_disk_monitor:set_disk_free_limit(50000000).",
        })
    }

    /// Closes every connection of the cluster with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections(self, reason: &str) -> io::Result<usize> {
        self.count(&format!(
            "Open = rabbit_networking:connections(), \
             [catch rabbit_networking:close_connection(P, {reason:?}) || P <- Open], \
             length(Open)."
        ))
    }

    /// Closes the connections of a user with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections_by(self, user: &str) -> io::Result<usize> {
        self.close_matching("user", user)
    }

    /// Closes the connections to a virtual host with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections_to(self, vhost: &str) -> io::Result<usize> {
        self.close_matching("vhost", vhost)
    }

    fn close_matching(self, item: &str, value: &str) -> io::Result<usize> {
        self.count(&format!(
            "length([catch rabbit_networking:close_connection(P, \"on purpose\") || \
             [{{pid, P}}, {{{item}, I}}] <- rabbit_networking:connection_info_all([pid, {item}]), \
             I =:= {}]).",
            binary(value)
        ))
    }

    fn run(self, expressions: &str) -> io::Result<()> {
        self.control.eval(expressions).map(drop)
    }

    fn count(self, expressions: &str) -> io::Result<usize> {
        self.control.eval(expressions)?.parse().map_err(io::Error::other)
    }
}

/// Returns the Erlang binary literal of this text.
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
