//! Machines of results: what each was, and whether several were the same.

use crate::results::document::{Machine, Results};

/// A file's results under the name that a report gives them.
pub(crate) struct Named<'a> {
    pub(crate) name: String,
    pub(crate) results: &'a Results,
}

/// Something that a machine is.
type Fact = fn(&Machine) -> String;

/// What differs between the machines of these results, a sentence for each; figures of different
/// machines do not compare.
pub(crate) fn differences(all: &[Named<'_>]) -> Vec<String> {
    let facts: [(&str, Fact); 3] = [
        ("CPU", |machine| text(machine.cpu.as_ref())),
        ("cores", |machine| machine.cores.to_string()),
        ("kernel", |machine| text(machine.kernel.as_ref())),
    ];
    let mut found = Vec::new();
    for (fact, of) in facts {
        let values: Vec<String> = all.iter().map(|one| of(&one.results.machine)).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            let pairs = all.iter().zip(&values);
            let told: Vec<String> =
                pairs.map(|(one, value)| format!("{value} ({})", one.name)).collect();
            found.push(format!("{fact}: {}", told.join(", ")));
        }
    }
    found
}

/// What a reader must know to judge figures and to reproduce them: names and values.
pub(crate) fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let machine = &results.machine;
    let memory = machine.memory_mib.map(|mib| format!(", {:.1} GiB", mib as f64 / 1024.0));
    let cores = match machine.cores {
        0 => String::new(),
        1 => ", 1 core".to_owned(),
        cores => format!(", {cores} cores"),
    };
    let (cpu, kernel) = (text(machine.cpu.as_ref()), machine.kernel.as_ref());
    let leveret = format!(
        "backend {}, executor {}, busy poll {} µs",
        text(machine.backend.as_ref()),
        text(machine.executor.as_ref()),
        machine.busy_poll_us
    );
    vec![
        ("date", recorded(&results.date)),
        ("machine", format!("{cpu}{cores}{}", memory.unwrap_or_default())),
        ("kernel", kernel.map_or_else(|| recorded(""), |kernel| format!("Linux {kernel}"))),
        ("broker", text(machine.broker.as_ref())),
        ("Leveret", leveret),
        ("perf tool", recorded(&machine.version)),
        ("commit", text(machine.commit.as_ref())),
        ("subjects", subjects(results)),
    ]
}

fn subjects(results: &Results) -> String {
    let named = results.subjects.iter().map(|subject| match &subject.version {
        Some(version) => format!("{} ({version})", subject.name),
        None => subject.name.clone(),
    });
    recorded(&named.collect::<Vec<_>>().join(", "))
}

fn text(value: Option<&String>) -> String {
    recorded(value.map_or("", String::as_str))
}

/// A text, or that the file lacks it.
pub(crate) fn recorded(text: &str) -> String {
    if text.is_empty() { "not recorded".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cpu: &str, cores: usize) -> Results {
        let machine = Machine { cpu: Some(cpu.to_owned()), cores, ..Machine::default() };
        Results { machine, ..Results::default() }
    }

    fn named<'a>(name: &str, results: &'a Results) -> Named<'a> {
        Named { name: name.to_owned(), results }
    }

    #[test]
    fn only_what_differs_is_told() {
        let (old, same, new) = (on("Zen", 2), on("Zen", 2), on("Golden Cove", 2));
        assert!(differences(&[named("a", &old), named("b", &same)]).is_empty());
        let found = differences(&[named("a", &old), named("b", &new)]);
        assert_eq!(found, ["CPU: Zen (a), Golden Cove (b)"]);
    }

    #[test]
    fn what_a_file_lacks_is_told() {
        let facts = facts(&Results::default());
        let value = |name: &str| {
            let found = facts.iter().find(|(fact, _)| *fact == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(value("commit"), "not recorded");
        assert_eq!(value("kernel"), "not recorded");
    }
}
