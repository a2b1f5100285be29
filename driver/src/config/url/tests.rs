//! URLs by oslo's rules, and what is refused without a word of the password.

use crate::config::url::*;

fn url(text: &str) -> TransportUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn virtual_hosts() {
    for (text, virtual_host) in [
        ("rabbit://h", "/"),
        ("rabbit://h/", "/"),
        ("rabbit://h//", "/"),
        ("rabbit://h/foo", "foo"),
        ("rabbit://h/%2Ffoo", "/foo"),
        ("rabbit://h/a%20b", "a b"),
        ("rabbit://h?ssl=false", "/"),
    ] {
        assert_eq!(url(text).virtual_host(), virtual_host, "{text}");
    }
}

#[test]
fn credentials_split_at_the_last_at_and_the_first_colon() {
    let parsed = url("rabbit://u%3Aser:p%40:a@ss@host:99/");
    let [host] = parsed.hosts() else { panic!("one host") };
    assert_eq!(
        (host.username(), host.password(), host.hostname(), host.port()),
        ("u:ser", "p@:a@ss", "host", 99)
    );
}

#[test]
fn missing_parts_have_defaults() {
    let parsed = url("rabbit://h1,u@h2:,@:5673,:p@h4");
    let facts: Vec<_> = parsed
        .hosts()
        .iter()
        .map(|host| (host.username(), host.password(), host.hostname(), host.port()))
        .collect();
    assert_eq!(
        facts,
        [
            ("guest", "guest", "h1", 5672),
            ("u", "guest", "h2", 5672),
            ("guest", "guest", "localhost", 5673),
            ("guest", "p", "h4", 5672)
        ]
    );
    assert!(url("rabbit://").hosts().is_empty());
    assert!(url("rabbit:///v").hosts().is_empty());
}

#[test]
fn ipv6_goes_in_brackets() {
    let parsed = url("rabbit://u:p@[::1]:5673,[fe80::2]/");
    assert_eq!((parsed.hosts()[0].hostname(), parsed.hosts()[0].port()), ("::1", 5673));
    assert_eq!(parsed.hosts()[1].hostname(), "fe80::2");
    assert_eq!(parsed.to_string(), "rabbit://u:***@[::1]:5673,[fe80::2]/");
}

#[test]
fn repeated_query_keys_are_joined() {
    let parsed = url("rabbit://h/?a=1&b=x+y%2Bz&a=2&empty=&novalue");
    assert_eq!(parsed.query().collect::<Vec<_>>(), [("a", "1,2"), ("b", "x y+z")]);
}

#[test]
fn text_round_trips_and_hides_passwords() {
    let text = "rabbit://us%2Fer:p%40ss@h:1,h2/v%20h?a=1%2C2";
    let parsed = url(text);
    assert_eq!(parsed.to_url_string(Secrets::Shown), text);
    assert_eq!(parsed, url(&parsed.to_url_string(Secrets::Shown)));
    for shown in [parsed.to_string(), format!("{parsed:?}"), format!("{:?}", parsed.hosts())] {
        assert!(!shown.contains("p%40ss") && !shown.contains("p@ss"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
}

#[test]
fn hosts_of_unusual_spelling_round_trip() {
    for (text, hosts) in [("rabbit://:/", 1), ("rabbit://h,:/", 2), ("rabbit://u@[[x]:1,[::1]/", 2)]
    {
        let parsed = url(text);
        assert_eq!(parsed.hosts().len(), hosts, "{text}");
        assert_eq!(parsed.to_url_string(Secrets::Shown), text);
        assert_eq!(url(&parsed.to_url_string(Secrets::Shown)), parsed);
    }
}

#[test]
fn equality_ignores_the_query() {
    assert_eq!(url("rabbit://h/?a=1"), url("rabbit://h"));
    assert_ne!(url("rabbit://h/v"), url("rabbit://h"));
    assert_ne!(url("rabbit://u:1@h"), url("rabbit://u:2@h"));
}

#[test]
fn errors_name_the_offset_and_no_password() {
    for (text, expected) in [
        ("", "no scheme: a transport URL begins with a driver's name, as in rabbit://"),
        ("localhost/", "no scheme: a transport URL begins with a driver's name, as in rabbit://"),
        (
            "u/x:hunter2@h",
            "no scheme: a transport URL begins with a driver's name, as in rabbit://",
        ),
        ("ra_bbit://h", "the character at offset 2 cannot be part of a scheme"),
        ("rabbit:hunter2", "`://` must follow the scheme at offset 6"),
        ("rabbit://u:hunter2#@h", "`#` at offset 18: percent-encode it as %23"),
        (
            "rabbit://h,u:hunter2@[::1",
            "host 2 (offset 11): the bracket of an IPv6 address is not closed",
        ),
        (
            "rabbit://u:hunter2@[::1]x",
            "host 1 (offset 9): only a port may follow the bracket of an IPv6 address",
        ),
        ("rabbit://u:hunter2@h:x", "host 1 (offset 9): the port is not a number from 1 to 65535"),
        ("rabbit://u:hunter2/x@h", "host 1 (offset 9): the port is not a number from 1 to 65535"),
        (
            "rabbit://u:hunter2@::1",
            "host 1 (offset 9): more than one colon; an IPv6 address goes in brackets",
        ),
        ("rabbit://u:%ff@h", "the password at offset 11 is not UTF-8 once percent-decoded"),
    ] {
        let error = text.parse::<TransportUrl>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidTransportUrl);
        assert_eq!(error.to_string(), format!("Invalid transport URL: {expected}"), "{text}");
        assert!(!format!("{error:?}").contains("hunter2"), "{text}");
    }
}
