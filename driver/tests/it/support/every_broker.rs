//! Macros that run an asynchronous test, a function of a URL, on each broker and in each dialect.

/// Runs each scenario on the broker in the process and on a real one.
macro_rules! on_every_broker {
    ($($name:ident)*) => {
        mod fake {
            $(#[test] fn $name() {
                let url = concat!("fake:///", stringify!($name));
                crate::support::fixture::run(super::$name(url.to_owned()));
            })*
        }
        mod rabbit {
            $(#[test] fn $name() {
                let url = leveret_support::Broker::shared().vhost(stringify!($name));
                crate::support::fixture::run(super::$name(url));
            })*
        }
    };
}

pub(crate) use on_every_broker;

/// Runs each scenario in every dialect: on both brokers in the `rabbit` and in the `pika` dialect,
/// and on a real one with servers of both dialects and clients that detect the dialect.
macro_rules! in_every_dialect {
    ($($name:ident)*) => {
        crate::support::every_broker::on_every_broker! { $($name)* }
        mod fake_pika {
            $(#[test] fn $name() {
                let url = concat!("pika+fake:///pika_", stringify!($name));
                crate::support::fixture::run(super::$name(url.to_owned()));
            })*
        }
        mod pika {
            $(#[test] fn $name() {
                let vhost = concat!("pika_", stringify!($name));
                let url = leveret_support::Broker::shared().vhost(vhost);
                crate::support::fixture::run(super::$name(format!("pika+{url}")));
            })*
        }
        mod dual {
            $(#[test] fn $name() {
                let vhost = concat!("dual_", stringify!($name));
                let url = leveret_support::Broker::shared().vhost(vhost);
                crate::support::fixture::run(super::$name(format!("dual+{url}")));
            })*
        }
    };
}

pub(crate) use in_every_dialect;
