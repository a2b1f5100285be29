//! The phases of an update there and back: the moves of members, in order.
//!
//! Plain data, made before the run. Invariant: at any time in a phase, all clients reach all
//! servers. Not here: how a member is moved (`fleet`).

use super::kinds::{ClientKind, ServerKind};
use crate::cli::rolling::{Order, Plan};

/// Largest number of members for all orders: 24 passes.
const ALL_ORDERS_MAX: usize = 4;

/// One member becomes another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    Server(usize, ServerKind),
    Client(usize, ClientKind),
}

/// Moves of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) moves: Vec<Move>,
}

/// How many members there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct FleetSize {
    pub(super) servers: usize,
    pub(super) clients: usize,
    /// Number of old servers, and of old clients, that are Python's.
    pub(super) python: usize,
}

impl FleetSize {
    /// The kind of a server before the update.
    pub(super) const fn old_server(&self, index: usize) -> ServerKind {
        if index < self.python { ServerKind::Python } else { ServerKind::Kombu }
    }

    /// The kind of a client before the update.
    pub(super) const fn old_client(&self, index: usize) -> ClientKind {
        if index < self.python { ClientKind::Python } else { ClientKind::Kombu }
    }
}

/// The kind that the members of a phase become; `None` for their kind before the update.
#[derive(Clone, Copy)]
enum Goal {
    Servers(Option<ServerKind>),
    Clients(Option<ClientKind>),
}

/// The steps of a plan, each with its goal there and its goal back.
fn steps(plan: Plan) -> Vec<(Goal, Goal)> {
    let auto = Goal::Clients(Some(ClientKind::Auto));
    let pika_servers = Goal::Servers(Some(ServerKind::Pika));
    let last = (Goal::Clients(Some(ClientKind::Pika)), auto);
    let first_clients = (auto, Goal::Clients(None));
    match plan {
        Plan::ServersFirst => {
            let both = Goal::Servers(Some(ServerKind::Both));
            vec![(both, Goal::Servers(None)), first_clients, (pika_servers, both), last]
        }
        Plan::ClientsFirst => {
            vec![first_clients, (pika_servers, Goal::Servers(None)), last]
        }
    }
}

/// All phases, pass by pass, each there and back.
pub(super) fn phases(
    plan: Plan,
    order: Order,
    size: FleetSize,
    seed: u64,
) -> Result<Vec<Phase>, String> {
    let servers = orders(order, size.servers, seed)?;
    let clients = orders(order, size.clients, !seed)?;
    let passes = servers.len().max(clients.len());
    let mut phases = vec![Phase { name: "all old".to_owned(), moves: Vec::new() }];
    for pass in 0..passes {
        let turns = (&servers[pass % servers.len()], &clients[pass % clients.len()]);
        let steps = steps(plan);
        let there = steps.iter().map(|(goal, _)| ("there", *goal));
        let back = steps.iter().rev().map(|(_, goal)| ("back", *goal));
        for (way, goal) in there.chain(back) {
            let phase = phase(goal, turns, &size);
            let number = if passes == 1 { String::new() } else { format!("{} ", pass + 1) };
            phases.push(Phase { name: format!("{number}{way}: {}", phase.name), ..phase });
        }
    }
    Ok(phases)
}

fn phase(goal: Goal, (servers, clients): (&Vec<usize>, &Vec<usize>), size: &FleetSize) -> Phase {
    let named = |kind: Option<String>| kind.unwrap_or_else(|| "old".to_owned());
    match goal {
        Goal::Servers(kind) => Phase {
            name: format!("servers to {}", named(kind.map(|kind| kind.to_string()))),
            moves: servers
                .iter()
                .map(|index| Move::Server(*index, kind.unwrap_or(size.old_server(*index))))
                .collect(),
        },
        Goal::Clients(kind) => Phase {
            name: format!("clients to {}", named(kind.map(|kind| kind.to_string()))),
            moves: clients
                .iter()
                .map(|index| Move::Client(*index, kind.unwrap_or(size.old_client(*index))))
                .collect(),
        },
    }
}

/// The orders of the members, one for each pass.
fn orders(order: Order, members: usize, seed: u64) -> Result<Vec<Vec<usize>>, String> {
    let mut forward: Vec<usize> = (0..members).collect();
    match order {
        Order::Forward => {}
        Order::Reverse => forward.reverse(),
        Order::Random => fastrand::Rng::with_seed(seed).shuffle(&mut forward),
        Order::All if members > ALL_ORDERS_MAX => {
            let most = ALL_ORDERS_MAX;
            return Err(format!("every order of {members} members is too many; at most {most}"));
        }
        Order::All => return Ok(permutations(&forward)),
    }
    Ok(vec![forward])
}

fn permutations(members: &[usize]) -> Vec<Vec<usize>> {
    if members.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (index, first) in members.iter().enumerate() {
        let rest: Vec<usize> = [&members[..index], &members[index + 1..]].concat();
        let tails = permutations(&rest).into_iter();
        all.extend(tails.map(|tail| [vec![*first], tail].concat()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: FleetSize = FleetSize { servers: 3, clients: 2, python: 1 };

    #[test]
    fn an_update_goes_there_and_back_the_same_way() {
        let phases = phases(Plan::ServersFirst, Order::Forward, SIZE, 0).expect("few members");
        let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
        let expected = [
            "all old",
            "there: servers to both",
            "there: clients to auto",
            "there: servers to pika",
            "there: clients to pika",
            "back: clients to auto",
            "back: servers to both",
            "back: clients to old",
            "back: servers to old",
        ];
        assert_eq!(names, expected);
        let last = &phases[8].moves;
        let python = Move::Server(0, ServerKind::Python);
        assert_eq!(last[..2], [python, Move::Server(1, ServerKind::Kombu)]);
    }

    #[test]
    fn every_order_is_a_pass_of_its_own() {
        let phases = phases(Plan::ClientsFirst, Order::All, SIZE, 0).expect("few members");
        assert_eq!(phases.len(), 1 + 6 * 6);
        let mut firsts: Vec<_> = phases
            .iter()
            .filter(|phase| phase.name.ends_with("there: servers to pika"))
            .map(|phase| format!("{:?}", phase.moves))
            .collect();
        firsts.sort();
        firsts.dedup();
        assert_eq!(firsts.len(), 6);
        let many = FleetSize { servers: 5, ..SIZE };
        assert!(super::phases(Plan::ClientsFirst, Order::All, many, 0).is_err());
    }

    #[test]
    fn a_seed_is_an_order() {
        let order = |seed| orders(Order::Random, 9, seed).expect("one order");
        assert_eq!(order(7), order(7));
        assert!((0..20).any(|seed| order(seed) != order(7)));
    }
}
