//! Users with only the permissions the guide lists: a server and a client in the `pika` dialect,
//! alone and beside the `rabbit` dialect.

use leveret::{
    Notification, NotificationEndpoint, NotificationListener, Notifier, Target, Transport,
};
use leveret_support::Broker;
use serde_json::json;

use crate::support::fixture::{Notes, client, connect, eventually, run, server};

/// Patterns of the names a user may configure, write and read.
type Rights = [&'static str; 3];

const SERVER: Rights = [
    "^(openstack_rpc(_reply)?|(with|no)_ack[.].*|leveret[.]queue-.*)$",
    "^((with|no)_ack[.].*|openstack_rpc_reply|leveret[.]queue-.*)$",
    "^(openstack_rpc(_reply)?|(with|no)_ack[.].*)$",
];
const CLIENT: Rights = [
    "^(openstack_rpc(_reply)?|reply[.].*|leveret[.]queue-.*)$",
    "^(openstack_rpc|reply[.].*|leveret[.]queue-.*)$",
    "^(openstack_rpc(_reply)?|reply[.].*)$",
];
const NOTES: &str = "^(openstack_notification|notifications[.].*)$";

/// Including the permissions for the other dialect.
const SERVER_OF_BOTH: Rights = [
    "^(openstack|t([._].*)?|openstack_rpc(_reply)?|(with|no)_ack[.].*|leveret[.]queue-.*)$",
    "^(amq[.]default|t([._].*)?|(with|no)_ack[.].*|openstack_rpc_reply|leveret[.]queue-.*)$",
    "^(openstack|t([._].*)?|openstack_rpc(_reply)?|(with|no)_ack[.].*)$",
];
const CLIENT_OF_BOTH: Rights = [
    "^(openstack|t_fanout|openstack_rpc_reply|reply_.*|leveret[.]queue-.*)$",
    "^(openstack|t_fanout|openstack_rpc|reply_.*|leveret[.]queue-.*)$",
    "^(openstack_rpc(_reply)?|reply_.*)$",
];

/// Adds a user with these rights; returns its URL. The password is the user's name.
fn url_for(user: &str, url: &str, [configure, write, read]: Rights) -> String {
    let (_, vhost) = url.rsplit_once('/').unwrap();
    let user = format!("{user}-{vhost}");
    Broker::shared().eval(&format!(
        "ok = rabbit_auth_backend_internal:add_user(<<\"{user}\">>, <<\"{user}\">>, \
         <<\"tests\">>), ok = rabbit_auth_backend_internal:set_permissions(<<\"{user}\">>, \
         <<\"{vhost}\">>, <<\"{configure}\">>, <<\"{write}\">>, <<\"{read}\">>, <<\"tests\">>)."
    ));
    url.replacen("guest:guest", &format!("{user}:{user}"), 1)
}

/// Sends calls, casts and fanouts between users with these rights.
async fn requests_pass(serving: &str, sending: &str) {
    let (served, sent) = (connect(serving).await, connect(sending).await);
    let notes = Notes::default();
    let server = server(&served, "t", "s", &notes).await;
    let client = client(&sent, "t");
    assert_eq!(client.call::<i64>((), "add", &json!({"a": 2, "b": 3})).await.unwrap(), 5);
    let named = client.prepare().with_server("s");
    assert_eq!(named.call::<String>((), "whoami", &()).await.unwrap(), "s");
    client.cast((), "note", &json!({"arg": 1})).await.unwrap();
    client.prepare().with_fanout(true).cast((), "note", &json!({"arg": 2})).await.unwrap();
    notes.wait_for(2);
    server.wait().await.unwrap();
    served.close().await.unwrap();
    sent.close().await.unwrap();
}

#[test]
fn requests_need_no_more_than_the_guide_says() {
    let url = Broker::shared().vhost("permissions");
    let serving = url_for("server", &url, SERVER) + "?dialect_serving=pika";
    let sending = url_for("client", &url, CLIENT) + "?dialect_sending=pika";
    run(requests_pass(&serving, &sending));
}

#[test]
fn both_dialects_need_no_more_than_the_guide_says() {
    let url = Broker::shared().vhost("permissions_of_both");
    let serving = url_for("server", &url, SERVER_OF_BOTH);
    let sending = url_for("client", &url, CLIENT_OF_BOTH) + "?dialect_sending=auto";
    for dialect in ["both", "pika", "kombu"] {
        run(requests_pass(&format!("{serving}?dialect_serving={dialect}"), &sending));
    }
}

#[test]
fn notifications_need_no_more_than_the_guide_says() {
    let url = Broker::shared().vhost("permissions_of_notes");
    let url = url_for("both", &url, [NOTES; 3]) + "?dialect_serving=pika&dialect_sending=pika";
    run(async {
        let transport: Transport = connect(&url).await;
        let notes = Notes::default();
        let heard = notes.clone();
        let endpoint = NotificationEndpoint::new()
            .info(move |one: Notification| heard.add(json!(one.event_type)));
        let listener = NotificationListener::builder(&transport, Target::new("notifications"))
            .endpoint(endpoint)
            .start()
            .await
            .unwrap();
        let notifier = Notifier::builder(&transport).build();
        notifier.info((), "disk.full", &()).await.unwrap();
        eventually(|| notes.all() == [json!("disk.full")]);
        listener.wait().await.unwrap();
        transport.close().await.unwrap();
    });
}
