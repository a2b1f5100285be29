//! Thresholds that are read, refused and checked.

use super::*;
use crate::results::comparing::tests::run;
use crate::results::run::{Latency, Run};

fn threshold(text: &str) -> Threshold {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// One workload of two subjects: `a` with rate 1000, `b` with 2000.
fn results(p99: f64, messages: u64) -> Results {
    let latency_us = Latency { p99: Some(p99), p999: Some(2.0 * p99), ..Latency::default() };
    let a = Run { latency_us, messages, ..run("call-1", "a", 1000.0, Some(5.0)) };
    Results { runs: vec![a, run("call-1", "b", 2000.0, None)], ..Results::default() }
}

fn checked(texts: &[&str], results: &Results, base: Option<&Results>) -> Result<Vec<String>> {
    let thresholds: Vec<Threshold> = texts.iter().map(|text| threshold(text)).collect();
    Ok(check(&thresholds, results, base)?.iter().map(ToString::to_string).collect())
}

fn refused(text: &str, results: &Results, base: Option<&Results>) -> String {
    format!("{:#}", checked(&[text], results, base).expect_err(text))
}

#[test]
fn thresholds_are_read() {
    use Operator::{Above, AtLeast, AtMost, Below};
    for (text, workload, subject, figure, operator, limit) in [
        ("call-1.p99 > 1ms", "call-1", None, Figure::P99, Above, Limit::Value(1000.0)),
        (" call-1.p99.9>=250us ", "call-1", None, Figure::P999, AtLeast, Limit::Value(250.0)),
        ("call-1.p999 > 5 µs", "call-1", None, Figure::P999, Above, Limit::Value(5.0)),
        ("a.b@raw.max > 1.5s", "a.b", Some("raw"), Figure::Max, Above, Limit::Value(1.5e6)),
        ("cast.rate < 50k", "cast", None, Figure::Rate, Below, Limit::Value(5e4)),
        ("cast.offered <= 1M", "cast", None, Figure::Offered, AtMost, Limit::Value(1e6)),
        ("cast@v1.2.rate < 0.9x", "cast", Some("v1.2"), Figure::Rate, Below, Limit::OfBase(0.9)),
        ("c.errors > 0", "c", None, Figure::Errors, Above, Limit::Value(0.0)),
        ("c.cpu > 12.5us", "c", None, Figure::Cpu, Above, Limit::Value(12.5)),
        ("c.sys > .5", "c", None, Figure::Syscalls, Above, Limit::Value(0.5)),
        ("c.alloc > 3", "c", None, Figure::Allocations, Above, Limit::Value(3.0)),
    ] {
        let found = threshold(text);
        assert_eq!((found.workload.as_str(), found.subject.as_deref()), (workload, subject));
        assert_eq!(
            (found.figure, found.operator, found.limit),
            (figure, operator, limit),
            "{text}"
        );
        assert_eq!(found.to_string(), text.trim());
    }
}

#[test]
fn other_texts_are_refused_with_what_to_write() {
    for (text, why) in [
        ("", "operator"),
        ("call-1.p99", "operator"),
        ("call-1.p99 = 1ms", "operator"),
        ("call-1 > 1ms", "p50 p90 p99 p99.9 max rate"),
        ("call-1.p98 > 1ms", "no figure"),
        (".p99 > 1ms", "empty"),
        ("call-1@.p99 > 1ms", "empty"),
        ("call-1.p99 > 1", "us, ms or s"),
        ("call-1.p99 > 1k", "us, ms or s"),
        ("call-1.p99 > fast", "no number"),
        ("call-1.p99 > -1ms", "no number"),
        ("call-1.p99 > nan", "no number"),
        ("call-1.p99 > 1.2.3ms", "no number"),
        ("call-1.p99 >> 1ms", "no number"),
        ("call-1.rate < 1ms", "k or M"),
        ("call-1.errors > 1k", "no unit"),
        ("call-1.cpu > 1ms", "unit us"),
    ] {
        let error = text.parse::<Threshold>().expect_err(text).to_string();
        assert!(error.contains(why), "{text}: {error}");
        assert!(error.contains("'call-1.p99 > 1ms'"), "{text}: {error}");
    }
}

#[test]
fn what_is_exceeded_is_told_with_the_value() {
    let results = results(1320.0, 20_000);
    let texts = ["call-1.p99 > 1ms", "call-1.p99 > 2ms", "call-1@b.rate < 3k", "call-1.errors > 0"];
    let found = checked(&texts, &results, None).expect("all were measured");
    assert_eq!(
        found,
        [
            "call-1@a.p99 is 1.32 ms: fails if 'call-1.p99 > 1ms'",
            "call-1@b.rate is 2,000/s: fails if 'call-1@b.rate < 3k'",
        ]
    );
    let edge = ["call-1.p99 > 1320us", "call-1.p99 >= 1320us", "call-1.p99 <= 1320us"];
    assert_eq!(checked(&edge, &results, None).expect("measured").len(), 2);
}

#[test]
fn multiples_refer_to_stored_results() {
    let (now, base) = (results(1320.0, 20_000), results(1000.0, 20_000));
    let found = checked(&["call-1.p99 > 1.2x", "call-1.rate < 0.9x"], &now, Some(&base));
    let found = found.expect("both have both");
    assert_eq!(
        found,
        ["call-1@a.p99 is 1.32 ms, 1.32x of 1 ms in the base: fails if 'call-1.p99 > 1.2x'"]
    );
    let error = refused("call-1.p99 > 1.2x", &now, None);
    assert!(error.contains("--against"), "{error}");
    let error = refused("call-1.errors > 2x", &now, Some(&base));
    assert!(error.contains("the base has 0"), "{error}");
    let error = refused("call-1.p99 > 2x", &now, Some(&Results::default()));
    assert!(error.starts_with("the base: "), "{error}");
}

#[test]
fn what_was_not_measured_is_an_error_that_names_what_was() {
    let results = results(10.0, 2000);
    let error = refused("call-2.p99 > 1ms", &results, None);
    assert!(error.contains("call-2@a") && error.contains("call-1@a call-1@b"), "{error}");
    let error = refused("call-1@b.p99 > 1ms", &results, None);
    assert!(error.contains("no p99") && error.contains("measured in call-1@a"), "{error}");
    let error = refused("call-1.cpu > 1", &results, None);
    assert!(error.contains("not measured in any row"), "{error}");
    let error = refused("call-1.p99.9 > 1ms", &results, None);
    assert!(error.contains("2,000 messages") && error.contains("too few"), "{error}");
}
