//! Generated values, and their comparison, for tests of the formats.

use proptest::prelude::*;
use serde_json::Value;

/// Whether two values are equal. Floats are compared by value, as arbitrary precision keeps their
/// text.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other
                || one.is_f64()
                    && other.is_f64()
                    && one.as_f64().map(f64::to_bits) == other.as_f64().map(f64::to_bits)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|((k, one), (l, other))| k == l && same(one, other))
        }
        _ => one == other,
    }
}

/// Generates values of JSON, with less than `width` members in each array or object.
pub(crate) fn any_json(width: usize) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[ -~]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, width as u32, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..width).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..width)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
