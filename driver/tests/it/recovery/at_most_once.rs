//! At most once: what [`Retry::Never`] promises, whatever breaks where.
//!
//! A way is cut at every place of a request, of its confirm, of its delivery, of the
//! acknowledgement, and of the reply; see `cuts` for what is asked for afterwards. The last tests
//! show that the cuts do hurt where less is promised.

use std::collections::BTreeMap;

use leveret::engine::{Engine, EngineConfig};
use leveret::{Outcome, Redelivered, Retry};
use leveret_support::{At, Broker, By, Carried, Cut, Part};
use serde_json::json;

use crate::recovery::cuts::{Kind, Lane, SERVERS, Setting, Speaking};
use crate::support::fixture::{Notes, client, connect, run, server};

/// Every place of a message and of its answer where something else may come of a cut.
const PLACES: [(Part, At); 16] = [
    (Part::Method, At::Before),
    (Part::Method, At::First),
    (Part::Method, At::Within(0)),
    (Part::Method, At::Last),
    (Part::Method, At::After),
    (Part::Header, At::First),
    (Part::Header, At::Within(0)),
    (Part::Header, At::Last),
    (Part::Header, At::After),
    (Part::Body, At::First),
    (Part::Body, At::Within(0)),
    (Part::Body, At::Last),
    (Part::Body, At::After),
    (Part::Answer, At::Before),
    (Part::Answer, At::Within(0)),
    (Part::Answer, At::After),
];

/// The ways a request and its reply take: the connection, what it carries, how the request is sent.
const WAYS: [(&str, Carried, Kind); 8] = [
    ("publish", Carried::Published, Kind::Call),
    ("publish", Carried::Published, Kind::Cast),
    ("publish", Carried::Published, Kind::Fanout),
    ("server", Carried::Delivered, Kind::Call),
    ("server", Carried::Delivered, Kind::Cast),
    ("server", Carried::Delivered, Kind::Fanout),
    ("answers", Carried::Published, Kind::Call),
    ("replies", Carried::Delivered, Kind::Call),
];

/// Messages before the one that is cut, in a burst.
const BURSTS: [usize; 4] = [0, 7, 20, 39];

/// A cut that does not come to pass is tried again: a request may expire on a busy machine.
const TRIES: usize = 20;

/// Cuts made, by connection and part.
type Tally = BTreeMap<(&'static str, String), usize>;

fn once(speaking: Speaking) -> Setting {
    Setting { speaking, redelivered: Redelivered::Refuse, retry: Retry::Never }
}

/// All cuts of a round that can come to pass, the octets inside frames differing by `round`.
fn cases(speaking: Speaking, round: usize) -> Vec<(Cut, Kind)> {
    let mut cases = Vec::new();
    for (purpose, carried, kind) in WAYS {
        for (number, (part, at)) in PLACES.into_iter().enumerate() {
            // What is sent at most once in the `pika` dialect is never acknowledged.
            let is_no_ack = matches!(speaking, Speaking::Pika | Speaking::Both);
            if purpose == "server" && is_no_ack && part == Part::Answer {
                continue;
            }
            let at = match at {
                At::Within(_) => At::Within(round * 37 + number * 11),
                other => other,
            };
            let skip = match speaking {
                Speaking::Fallback if purpose == "publish" => round % 2,
                _ => 0,
            };
            let both = [By::Fin, By::Rst];
            let by = if kind == Kind::Call { &both[round % 2..=round % 2] } else { &both };
            cases.extend(
                by.iter().map(|by| (Cut { purpose, carried, skip, part, at, by: *by }, kind)),
            );
        }
    }
    for (skip, (part, at)) in BURSTS.into_iter().zip(PLACES.into_iter().cycle().skip(round * 3)) {
        let (purpose, carried) = ("casts", Carried::Published);
        for by in [By::Fin, By::Rst] {
            cases.push((Cut { purpose, carried, skip, part, at, by }, Kind::Burst));
        }
    }
    cases
}

/// Cuts one after another, until each has come to pass, and judges what came of it.
fn suffer(mut lane: Lane, cases: &[(Cut, Kind)]) -> Tally {
    let mut tally = Tally::new();
    for (cut, kind) in cases {
        let happened = (0..TRIES).any(|_| lane.strike(*cut, *kind).1);
        assert!(happened, "{kind:?}: it never comes to {cut:?}");
        *tally.entry((cut.purpose, format!("{:?}", cut.part))).or_default() += 1;
    }
    lane.rest();
    assert!(lane.judge() > 0, "nothing was executed at all");
    lane.close();
    tally
}

/// Cuts on as many lanes side by side.
fn suffer_on(lanes: usize, open: impl Fn(&Engine) -> Lane + Sync, cases: &[(Cut, Kind)]) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let mut tally = Tally::new();
    std::thread::scope(|scope| {
        let run = |lane: usize| {
            let (engine, open) = (&engine, &open);
            scope.spawn(move || {
                let ours: Vec<_> = cases.iter().skip(lane).step_by(lanes).copied().collect();
                suffer(open(engine), &ours)
            })
        };
        let running: Vec<_> = (0..lanes).map(run).collect();
        for one in running {
            for (class, cuts) in one.join().unwrap() {
                *tally.entry(class).or_default() += cuts;
            }
        }
    });
    eprintln!("{} cuts: {tally:?}", tally.values().sum::<usize>());
}

fn on_loopback(speaking: Speaking) {
    let cases: Vec<_> = (0..4).flat_map(|round| cases(speaking, round)).collect();
    suffer_on(6, |engine| Lane::on_loopback(engine, once(speaking)), &cases);
}

fn on_rabbit(speaking: Speaking, round: usize) {
    let cases: Vec<_> = cases(speaking, round).into_iter().step_by(2).collect();
    suffer_on(4, |engine| Lane::on_rabbit(engine, once(speaking)), &cases);
}

#[test]
fn kombu_executes_nothing_twice_on_loopback() {
    on_loopback(Speaking::Kombu);
}

#[test]
fn pika_executes_nothing_twice_on_loopback() {
    on_loopback(Speaking::Pika);
}

#[test]
fn both_execute_nothing_twice_on_loopback() {
    on_loopback(Speaking::Both);
}

#[test]
fn a_second_name_executes_nothing_twice_on_loopback() {
    on_loopback(Speaking::Fallback);
}

#[test]
fn kombu_executes_nothing_twice_on_rabbit() {
    on_rabbit(Speaking::Kombu, 0);
}

#[test]
fn pika_executes_nothing_twice_on_rabbit() {
    on_rabbit(Speaking::Pika, 1);
}

#[test]
fn both_execute_nothing_twice_on_rabbit() {
    on_rabbit(Speaking::Both, 0);
}

#[test]
fn a_second_name_executes_nothing_twice_on_rabbit() {
    on_rabbit(Speaking::Fallback, 1);
}

/// An acknowledgement that is lost brings the request to the other server, unless that refuses it.
fn acknowledgement_lost(open: impl Fn(&Engine, Setting) -> Lane) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let speaking = Speaking::Kombu;
    let (purpose, carried, skip) = ("server", Carried::Delivered, 0);
    let cut = Cut { purpose, carried, skip, part: Part::Answer, at: At::Before, by: By::Rst };
    for (redelivered, times) in [(Redelivered::Dispatch, 2), (Redelivered::Refuse, 1)] {
        let mut lane = open(&engine, Setting { speaking, redelivered, retry: Retry::Never });
        let (number, happened) = lane.strike(cut, Kind::Cast);
        assert!(happened);
        lane.rest();
        let mut by = lane.ledger.of(number);
        by.sort_unstable();
        assert_eq!(by.len(), times, "{redelivered:?}: {by:?}");
        assert!(times == 1 || by == SERVERS, "{by:?}");
        assert_eq!(lane.refused(), u64::from(times == 1));
        lane.close();
    }
}

#[test]
fn a_lost_acknowledgement_doubles_what_is_not_refused() {
    acknowledgement_lost(Lane::on_loopback);
    acknowledgement_lost(Lane::on_rabbit);
}

/// A confirm that is lost has the request sent again, if it may be, under the same id.
fn confirm_lost(speaking: Speaking, open: impl Fn(&Engine, Setting) -> Lane) {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let (purpose, carried, skip) = ("publish", Carried::Published, 0);
    let cut = Cut { purpose, carried, skip, part: Part::Answer, at: At::Before, by: By::Fin };
    let redelivered = Redelivered::Dispatch;
    for (retry, resends) in [(Retry::UntilDeadline, 1), (Retry::Times(1), 0), (Retry::Never, 0)] {
        let mut lane = open(&engine, Setting { speaking, redelivered, retry });
        let (number, happened) = lane.strike(cut, Kind::Directed);
        assert!(happened);
        lane.rest();
        let repeats = u64::from(retry != Retry::Never);
        assert_eq!(lane.may_be_sent(number), repeats == 0);
        assert_eq!(lane.ledger.of(number), [SERVERS[0]]);
        assert_eq!(lane.servers[0].stats().duplicates, repeats, "{retry:?}");
        let metrics = lane.sender.metrics();
        let publishing = metrics.connections.iter().find(|one| one.health.purpose == "publish");
        assert_eq!(publishing.unwrap().resends, resends, "{retry:?}");
        assert_eq!(metrics.retries, repeats - resends, "{retry:?}");
        lane.close();
    }
}

#[test]
fn a_lost_confirm_has_the_request_sent_again_and_dropped_as_a_repeat() {
    for speaking in [Speaking::Kombu, Speaking::Pika] {
        confirm_lost(speaking, Lane::on_loopback);
        confirm_lost(speaking, Lane::on_rabbit);
    }
}

/// An exchange that is gone ends the channel; what was published to it alone is surely nowhere.
async fn exchange_gone(url: String) {
    let serving = connect(&url).await;
    let sending = connect(&url).await;
    for (retry, may_be_repeated) in [(Retry::UntilDeadline, true), (Retry::Never, false)] {
        let notes = Notes::default();
        let everybody = client(&sending, "t").with_fanout(true).with_retry(retry);
        let cast = async |number: i32| everybody.cast((), "note", &json!({"arg": number})).await;
        let first = server(&serving, "t", "s", &notes).await;
        cast(1).await.unwrap();
        notes.wait_for(1);
        // The exchange goes with its last queue.
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
        assert_eq!(notes.wait_for(2), [1, 3], "declared again");
        second.wait().await.unwrap();
    }
}

#[test]
fn a_message_that_its_exchange_cut_off_is_not_sent_again() {
    run(exchange_gone("fake:///exchange_gone".to_owned()));
    run(exchange_gone(Broker::shared().vhost("exchange_gone")));
}

/// A cut that nobody hits stays away.
#[test]
fn a_way_that_is_not_cut_loses_nothing() {
    let engine = Engine::start(EngineConfig::default()).unwrap();
    let mut lane = Lane::on_loopback(&engine, once(Speaking::Kombu));
    let (purpose, carried) = ("nobody", Carried::Published);
    let cut = Cut { purpose, carried, skip: 0, part: Part::Method, at: At::Before, by: By::Fin };
    let (number, happened) = lane.strike(cut, Kind::Directed);
    assert!(!happened);
    lane.rest();
    assert_eq!((lane.judge(), lane.ledger.of(number)), (1, vec![SERVERS[0]]));
    assert_eq!(lane.proxy.cuts(), 0);
    lane.close();
}
