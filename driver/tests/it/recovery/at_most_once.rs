//! At most once: the guarantee of [`Retry::Never`], whichever connection breaks at whichever octet.
//!
//! The tests cut a connection at every point of a request, of its confirm, of its delivery, of its
//! acknowledgement, and of the reply; `cuts` has the checks. The last tests show that the cuts do
//! cause repeats where the setting allows them.

use std::collections::BTreeMap;

use leveret::engine::{Engine, EngineConfig};
use leveret::{Outcome, Redelivered, Retry};
use leveret_support::{Broker, CloseMode, CutMessage, CutOffset, CutPoint, FramePart};
use serde_json::json;

use crate::recovery::cuts::{CutSetup, Dialects, Kind, SERVERS, Settings};
use crate::support::fixture::{Notes, client, confirms_together, connect, run, server};

/// Every point of a message and of its acknowledgement where a cut may have a different effect.
const POINTS: [(FramePart, CutOffset); 16] = [
    (FramePart::Method, CutOffset::Before),
    (FramePart::Method, CutOffset::First),
    (FramePart::Method, CutOffset::Within(0)),
    (FramePart::Method, CutOffset::Last),
    (FramePart::Method, CutOffset::After),
    (FramePart::Header, CutOffset::First),
    (FramePart::Header, CutOffset::Within(0)),
    (FramePart::Header, CutOffset::Last),
    (FramePart::Header, CutOffset::After),
    (FramePart::Body, CutOffset::First),
    (FramePart::Body, CutOffset::Within(0)),
    (FramePart::Body, CutOffset::Last),
    (FramePart::Body, CutOffset::After),
    (FramePart::Ack, CutOffset::Before),
    (FramePart::Ack, CutOffset::Within(0)),
    (FramePart::Ack, CutOffset::After),
];

/// The connections of a request and its reply: purpose, message, and how the request is sent.
const CONNECTIONS: [(&str, CutMessage, Kind); 8] = [
    ("publish", CutMessage::Published, Kind::Call),
    ("publish", CutMessage::Published, Kind::Cast),
    ("publish", CutMessage::Published, Kind::Fanout),
    ("server", CutMessage::Delivered, Kind::Call),
    ("server", CutMessage::Delivered, Kind::Cast),
    ("server", CutMessage::Delivered, Kind::Fanout),
    ("answers", CutMessage::Published, Kind::Call),
    ("replies", CutMessage::Delivered, Kind::Call),
];

/// Messages before the cut one, in a burst.
const BURSTS: [usize; 4] = [0, 7, 20, 39];

/// Attempts per cut: on a busy machine a request may expire before the cut point.
const TRIES: usize = 20;

/// Numbers of cuts, by connection and frame.
type CutCounts = BTreeMap<(&'static str, String), usize>;

fn once(dialects: Dialects) -> Settings {
    Settings { dialects, redelivered: Redelivered::Refuse, retry: Retry::Never }
}

/// Returns all possible cuts of a round; the offsets inside frames depend on `round`.
fn cases(dialects: Dialects, round: usize) -> Vec<(CutPoint, Kind)> {
    let mut cases = Vec::new();
    for (purpose, carried, kind) in CONNECTIONS {
        for (number, (part, at)) in POINTS.into_iter().enumerate() {
            // Messages of the `pika` dialect without retries are never acknowledged.
            let is_no_ack = matches!(dialects, Dialects::Pika | Dialects::Both);
            if purpose == "server" && is_no_ack && part == FramePart::Ack {
                continue;
            }
            // Nor are calls and their replies confirmed one by one.
            let is_call = kind == Kind::Call && carried == CutMessage::Published;
            if is_call && part == FramePart::Ack && confirms_together() {
                continue;
            }
            let at = match at {
                CutOffset::Within(_) => CutOffset::Within(round * 37 + number * 11),
                other => other,
            };
            let skip = match dialects {
                Dialects::Fallback if purpose == "publish" => round % 2,
                _ => 0,
            };
            let both = [CloseMode::Fin, CloseMode::Rst];
            let by = if kind == Kind::Call { &both[round % 2..=round % 2] } else { &both };
            cases.extend(
                by.iter().map(|by| (CutPoint { purpose, carried, skip, part, at, by: *by }, kind)),
            );
        }
    }
    for (skip, (part, at)) in BURSTS.into_iter().zip(POINTS.into_iter().cycle().skip(round * 3)) {
        let (purpose, carried) = ("casts", CutMessage::Published);
        for by in [CloseMode::Fin, CloseMode::Rst] {
            cases.push((CutPoint { purpose, carried, skip, part, at, by }, Kind::Burst));
        }
    }
    cases
}

/// Makes each cut, retrying until it happens, then verifies the results.
fn cut_and_verify(mut setup: CutSetup, cases: &[(CutPoint, Kind)]) -> CutCounts {
    let mut counts = CutCounts::new();
    for (cut, kind) in cases {
        let happened = (0..TRIES).any(|_| setup.send_and_cut(*cut, *kind).1);
        assert!(happened, "{kind:?}: the cut {cut:?} never happens");
        *counts.entry((cut.purpose, format!("{:?}", cut.part))).or_default() += 1;
    }
    setup.await_idle();
    assert!(setup.verify() > 0, "some requests are executed");
    setup.close();
    counts
}

/// Makes the cuts on `lanes` setups concurrently.
fn cut_concurrently(
    setups: usize,
    open: impl Fn(&Engine) -> CutSetup + Sync,
    cases: &[(CutPoint, Kind)],
) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let mut counts = CutCounts::new();
    std::thread::scope(|scope| {
        let run = |setup: usize| {
            let (engine, open) = (&engine, &open);
            scope.spawn(move || {
                let ours: Vec<_> = cases.iter().skip(setup).step_by(setups).copied().collect();
                cut_and_verify(open(engine), &ours)
            })
        };
        let running: Vec<_> = (0..setups).map(run).collect();
        for one in running {
            for (class, cuts) in one.join().unwrap() {
                *counts.entry(class).or_default() += cuts;
            }
        }
    });
    eprintln!("{} cuts: {counts:?}", counts.values().sum::<usize>());
}

fn on_loopback(dialects: Dialects) {
    let cases: Vec<_> = (0..4).flat_map(|round| cases(dialects, round)).collect();
    cut_concurrently(6, |engine| CutSetup::on_loopback(engine, once(dialects)), &cases);
}

fn on_rabbit(dialects: Dialects, round: usize) {
    let cases: Vec<_> = cases(dialects, round).into_iter().step_by(2).collect();
    cut_concurrently(4, |engine| CutSetup::on_rabbit(engine, once(dialects)), &cases);
}

#[test]
fn kombu_executes_nothing_twice_on_loopback() {
    on_loopback(Dialects::Kombu);
}

#[test]
fn pika_executes_nothing_twice_on_loopback() {
    on_loopback(Dialects::Pika);
}

#[test]
fn both_execute_nothing_twice_on_loopback() {
    on_loopback(Dialects::Both);
}

#[test]
fn a_second_name_executes_nothing_twice_on_loopback() {
    on_loopback(Dialects::Fallback);
}

#[test]
fn kombu_executes_nothing_twice_on_rabbit() {
    on_rabbit(Dialects::Kombu, 0);
}

#[test]
fn pika_executes_nothing_twice_on_rabbit() {
    on_rabbit(Dialects::Pika, 1);
}

#[test]
fn both_execute_nothing_twice_on_rabbit() {
    on_rabbit(Dialects::Both, 0);
}

#[test]
fn a_second_name_executes_nothing_twice_on_rabbit() {
    on_rabbit(Dialects::Fallback, 1);
}

/// After a lost acknowledgement the other server gets the request, unless it refuses redelivered
/// ones.
fn acknowledgement_lost(open: impl Fn(&Engine, Settings) -> CutSetup) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let dialects = Dialects::Kombu;
    let (purpose, carried, skip) = ("server", CutMessage::Delivered, 0);
    let cut = CutPoint {
        purpose,
        carried,
        skip,
        part: FramePart::Ack,
        at: CutOffset::Before,
        by: CloseMode::Rst,
    };
    for (redelivered, times) in [(Redelivered::Dispatch, 2), (Redelivered::Refuse, 1)] {
        let mut setup = open(&engine, Settings { dialects, redelivered, retry: Retry::Never });
        let (number, happened) = setup.send_and_cut(cut, Kind::Cast);
        assert!(happened);
        setup.await_idle();
        let mut by = setup.executions.of(number);
        by.sort_unstable();
        assert_eq!(by.len(), times, "{redelivered:?}: {by:?}");
        assert!(times == 1 || by == SERVERS, "{by:?}");
        assert_eq!(setup.refused(), u64::from(times == 1));
        setup.close();
    }
}

#[test]
fn a_lost_acknowledgement_doubles_what_is_not_refused() {
    acknowledgement_lost(CutSetup::on_loopback);
    acknowledgement_lost(CutSetup::on_rabbit);
}

/// After a lost confirm the client sends the request again under the same id, if it may.
fn confirm_lost(dialects: Dialects, open: impl Fn(&Engine, Settings) -> CutSetup) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let (purpose, carried, skip) = ("publish", CutMessage::Published, 0);
    let cut = CutPoint {
        purpose,
        carried,
        skip,
        part: FramePart::Ack,
        at: CutOffset::Before,
        by: CloseMode::Fin,
    };
    let redelivered = Redelivered::Dispatch;
    for (retry, resends) in [(Retry::UntilDeadline, 1), (Retry::Times(1), 0), (Retry::Never, 0)] {
        let mut setup = open(&engine, Settings { dialects, redelivered, retry });
        let (number, happened) = setup.send_and_cut(cut, Kind::Directed);
        assert!(happened);
        setup.await_idle();
        let repeats = u64::from(retry != Retry::Never);
        assert_eq!(setup.may_be_sent(number), repeats == 0);
        assert_eq!(setup.executions.of(number), [SERVERS[0]]);
        assert_eq!(setup.servers[0].stats().duplicates, repeats, "{retry:?}");
        let metrics = setup.sender.metrics();
        let publishing = metrics.connections.iter().find(|one| one.health.purpose == "publish");
        assert_eq!(publishing.unwrap().resends, resends, "{retry:?}");
        assert_eq!(metrics.retries, repeats - resends, "{retry:?}");
        setup.close();
    }
}

#[test]
fn a_lost_confirm_has_the_request_sent_again_and_dropped_as_a_repeat() {
    for dialects in [Dialects::Kombu, Dialects::Pika] {
        confirm_lost(dialects, CutSetup::on_loopback);
        confirm_lost(dialects, CutSetup::on_rabbit);
    }
}

/// A missing exchange closes the channel; only the message published to it was certainly not
/// routed.
async fn exchange_gone(url: String) {
    let serving = connect(&url).await;
    let sending = connect(&url).await;
    for (retry, may_be_repeated) in [(Retry::UntilDeadline, true), (Retry::Never, false)] {
        let notes = Notes::default();
        let all_servers = client(&sending, "t").with_fanout(true).with_retry(retry);
        let cast = async |number: i32| all_servers.cast((), "note", &json!({"arg": number})).await;
        let first = server(&serving, "t", "s", &notes).await;
        cast(1).await.unwrap();
        notes.wait_for(1);
        // The exchange is deleted with its last queue.
        first.wait().await.unwrap();
        match cast(2).await {
            Ok(()) => assert!(may_be_repeated),
            Err(error) => {
                assert!(!may_be_repeated, "{error}");
                assert_eq!(error.outcome(), Some(Outcome::Refused), "{error}");
            }
        }
        let second = server(&serving, "t", "s", &notes).await;
        cast(3).await.unwrap();
        assert_eq!(notes.wait_for(2), [1, 3], "the exchange is declared again");
        second.wait().await.unwrap();
    }
}

#[test]
fn a_message_that_its_exchange_cut_off_is_not_sent_again() {
    run(exchange_gone("fake:///exchange_gone".to_owned()));
    run(exchange_gone(Broker::shared().vhost("exchange_gone")));
}

/// A cut point that no message reaches has no effect.
#[test]
fn a_way_that_is_not_cut_loses_nothing() {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let mut setup = CutSetup::on_loopback(&engine, once(Dialects::Kombu));
    let (purpose, carried) = ("nobody", CutMessage::Published);
    let cut = CutPoint {
        purpose,
        carried,
        skip: 0,
        part: FramePart::Method,
        at: CutOffset::Before,
        by: CloseMode::Fin,
    };
    let (number, happened) = setup.send_and_cut(cut, Kind::Directed);
    assert!(!happened);
    setup.await_idle();
    assert_eq!((setup.verify(), setup.executions.of(number)), (1, vec![SERVERS[0]]));
    assert_eq!(setup.proxy.cuts(), 0);
    setup.close();
}
