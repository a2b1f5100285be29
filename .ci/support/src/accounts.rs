//! Changes to a running broker for tests: users, permissions, policies, and the contents of a
//! virtual host.
//!
//! These methods call [`Operator`] and panic on its errors: a test cannot handle them. Callers name
//! a virtual host by its name or by a URL that ends with it, and a user by its name, which is also
//! the password. Not here: processes and listeners of a node (`broker`).

use std::io;

use crate::broker::{Broker, vhost_name};
use crate::operator::{Operator, Permissions};

/// A pattern that matches every queue.
const ANY: &str = ".*";

impl Broker {
    /// Returns the same operations and more, for programs that report errors.
    pub fn operator(&self) -> Operator<'_> {
        Operator::new(self.control())
    }

    /// Adds the user `name`, with its name as its password and without permissions.
    pub fn add_user(&self, name: &str) {
        expect_ok(self.operator().add_user(name, name));
    }

    /// Deletes a user and its permissions. RabbitMQ closes its connections in its own time.
    pub fn delete_user(&self, name: &str) {
        expect_ok(self.operator().delete_user(name));
    }

    /// Replaces the permissions of a user in a virtual host.
    pub fn set_permissions(&self, user: &str, vhost: &str, permissions: Permissions) {
        expect_ok(self.operator().set_permissions(user, vhost_name(vhost), permissions));
    }

    /// Adds the user `name` with these permissions and returns `url` with that user's credentials.
    ///
    /// # Panics
    /// When `url` is not the result of [`vhost`](Self::vhost).
    pub fn url_for(&self, name: &str, url: &str, permissions: Permissions) -> String {
        assert!(url.contains("//guest:guest@"), "a URL of this broker, not {url}");
        self.add_user(name);
        self.set_permissions(name, url, permissions);
        url.replacen("guest:guest", &format!("{name}:{name}"), 1)
    }

    /// Closes the connections of a user with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections_by(&self, user: &str) -> usize {
        expect_ok(self.operator().close_connections_by(user))
    }

    /// Closes the connections to a virtual host with 320 CONNECTION_FORCED; returns how many.
    pub fn close_connections_to(&self, vhost: &str) -> usize {
        expect_ok(self.operator().close_connections_to(vhost_name(vhost)))
    }

    /// Sets a policy for the queues of a virtual host whose names match `pattern`. `definition` is
    /// JSON. A policy of the same name is replaced.
    pub fn set_policy(&self, vhost: &str, name: &str, pattern: &str, definition: &str) {
        expect_ok(self.operator().set_policy(vhost_name(vhost), name, pattern, definition));
    }

    /// Clears a policy.
    pub fn clear_policy(&self, vhost: &str, name: &str) {
        expect_ok(self.operator().clear_policy(vhost_name(vhost), name));
    }

    /// Deletes an exchange with its bindings, used or not.
    pub fn delete_exchange(&self, vhost: &str, name: &str) {
        expect_ok(self.operator().delete_exchange(vhost_name(vhost), name));
    }

    /// Removes every queue binding in a virtual host except those of the default exchange.
    pub fn delete_bindings(&self, vhost: &str) {
        expect_ok(self.operator().delete_bindings(vhost_name(vhost), ANY));
    }

    /// Deletes every queue of a virtual host; RabbitMQ cancels their consumers.
    pub fn delete_queues(&self, vhost: &str) {
        expect_ok(self.operator().delete_queues(vhost_name(vhost), ANY));
    }

    /// Returns how many channels are open in a virtual host.
    pub fn channels_of(&self, vhost: &str) -> usize {
        let vhost = vhost_name(vhost);
        let open = self.eval(&format!(
            "length([V || [{{vhost, V}}] <- rabbit_channel:info_all([vhost]), \
             V =:= <<\"{vhost}\">>])."
        ));
        open.parse().expect("Erlang's length/1 is a number")
    }

    /// Sets the largest message the node accepts, in bytes, for channels opened later. A larger
    /// message closes its channel (406).
    pub fn set_max_message_size(&self, bytes: usize) {
        self.eval(&format!("application:set_env(rabbit, max_message_size, {bytes})."));
    }
}

fn expect_ok<T>(result: io::Result<T>) -> T {
    result.expect("the operation succeeds")
}
