//! What an operator changes on a running broker: users, permissions, policies, and what belongs to
//! a virtual host.
//!
//! Every method returns when the node has carried it out. A virtual host is given by its name or by
//! a URL that ends with it, a user by its name, which is also its password. RabbitMQ's channels
//! remember permissions they have checked, so a change holds for channels opened later. Not here:
//! processes and listeners of a node (`broker`).

use crate::broker::{Broker, vhost_name};

/// Permissions as `rabbitmqctl set_permissions` takes them: patterns of the names a user may
/// configure, write to, and read from.
pub type Permissions = [&'static str; 3];

/// Everything is permitted.
pub const ALL: Permissions = [".*", ".*", ".*"];

/// A pattern that matches no name.
pub const NONE: &str = "^$";

impl Broker {
    /// Adds the user `name`, with its name as its password and without permissions.
    pub fn add_user(&self, name: &str) {
        self.eval(&format!(
            "ok = rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"{name}\">>, \
             <<\"tests\">>)."
        ));
    }

    /// Deletes a user and its permissions. RabbitMQ closes its connections in its own time.
    pub fn delete_user(&self, name: &str) {
        self.eval(&format!(
            "rabbit_auth_backend_internal:delete_user(<<\"{name}\">>, <<\"tests\">>)."
        ));
    }

    /// Replaces the permissions of a user in a virtual host.
    pub fn set_permissions(&self, user: &str, vhost: &str, permissions: Permissions) {
        let (vhost, [configure, write, read]) = (vhost_name(vhost), permissions);
        self.eval(&format!(
            "ok = rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, <<\"{vhost}\">>, \
             <<\"{configure}\">>, <<\"{write}\">>, <<\"{read}\">>, <<\"tests\">>)."
        ));
    }

    /// Adds the user `name` with these permissions and returns `url` with its login.
    ///
    /// # Panics
    /// When `url` is not one of [`vhost`](Self::vhost).
    pub fn url_for(&self, name: &str, url: &str, permissions: Permissions) -> String {
        assert!(url.contains("//guest:guest@"), "a URL of this broker, not {url}");
        self.add_user(name);
        self.set_permissions(name, url, permissions);
        url.replacen("guest:guest", &format!("{name}:{name}"), 1)
    }

    /// Closes the connections of a user with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections_by(&self, user: &str) -> usize {
        let chosen = format!("U =:= <<\"{user}\">>");
        self.close_chosen("user, U", &chosen)
    }

    /// Closes the connections to a virtual host with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections_to(&self, vhost: &str) -> usize {
        let chosen = format!("V =:= <<\"{}\">>", vhost_name(vhost));
        self.close_chosen("vhost, V", &chosen)
    }

    fn close_chosen(&self, item: &str, chosen: &str) -> usize {
        let (name, _) = item.split_once(", ").expect("an item and its variable");
        let closed = self.eval(&format!(
            "length([catch rabbit_networking:close_connection(P, \"on purpose\") || \
             [{{pid, P}}, {{{item}}}] <- rabbit_networking:connection_info_all([pid, {name}]), \
             {chosen}])."
        ));
        closed.parse().expect("Erlang's length/1 is a number")
    }

    /// Sets a policy for the queues of a virtual host whose names match `pattern`. `definition` is
    /// JSON. It replaces a policy of that name.
    pub fn set_policy(&self, vhost: &str, name: &str, pattern: &str, definition: &str) {
        let (vhost, definition) = (vhost_name(vhost), definition.replace('"', "\\\""));
        self.eval(&format!(
            "ok = rabbit_policy:parse_set(<<\"{vhost}\">>, <<\"{name}\">>, <<\"{pattern}\">>, \
             <<\"{definition}\">>, <<\"0\">>, <<\"queues\">>, <<\"tests\">>)."
        ));
    }

    /// Clears a policy.
    pub fn clear_policy(&self, vhost: &str, name: &str) {
        let vhost = vhost_name(vhost);
        self.eval(&format!(
            "ok = rabbit_policy:delete(<<\"{vhost}\">>, <<\"{name}\">>, <<\"tests\">>)."
        ));
    }

    /// Deletes an exchange with its bindings, used or not.
    pub fn delete_exchange(&self, vhost: &str, name: &str) {
        let vhost = vhost_name(vhost);
        self.eval(&format!(
            "rabbit_exchange:delete(rabbit_misc:r(<<\"{vhost}\">>, exchange, <<\"{name}\">>), \
             false, <<\"tests\">>)."
        ));
    }

    /// Removes every binding of a virtual host but those to the default exchange.
    pub fn delete_bindings(&self, vhost: &str) {
        let vhost = vhost_name(vhost);
        self.eval(&format!(
            "[rabbit_binding:remove(B, <<\"tests\">>) || \
             B <- rabbit_binding:list(<<\"{vhost}\">>), \
             element(4, element(2, B)) =/= <<>>], ok."
        ));
    }

    /// Deletes every queue of a virtual host; RabbitMQ cancels their consumers.
    pub fn delete_queues(&self, vhost: &str) {
        let vhost = vhost_name(vhost);
        self.eval(&format!(
            "[catch rabbit_amqqueue:delete(Q, false, false, <<\"tests\">>) \
             || Q <- rabbit_amqqueue:list(<<\"{vhost}\">>)], ok."
        ));
    }

    /// How many channels are open in a virtual host.
    pub fn channels_of(&self, vhost: &str) -> usize {
        let vhost = vhost_name(vhost);
        let open = self.eval(&format!(
            "length([V || [{{vhost, V}}] <- rabbit_channel:info_all([vhost]), \
             V =:= <<\"{vhost}\">>])."
        ));
        open.parse().expect("Erlang's length/1 is a number")
    }

    /// Sets the largest message the node takes, in bytes, for channels opened from now on. Larger
    /// ones close their channel (406).
    pub fn set_max_message_size(&self, bytes: usize) {
        self.eval(&format!("application:set_env(rabbit, max_message_size, {bytes})."));
    }
}
