//! The floor: hand-rendered frames over blocking sockets, which nothing that does more can beat by
//! much.
//!
//! For a workload of the driver the floor is the same work without an oslo message: a plain body to
//! the same kind of queue, or a request answered with its own body.

pub(crate) mod client;
mod floods;
mod frames;
mod rpc;

use anyhow::{Context, Result};

use self::client::Client;
use super::{Job, PlainWork, Subject};
use crate::place::Place;
use crate::stage::Crew;

/// The subject `raw`.
pub(crate) struct Raw;

impl Subject for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn start(&self, job: &Job, crew: &mut Crew) -> Result<()> {
        let client = Client::connect(&job.place)?;
        let (queue, body) = (job.queue.clone(), job.body.clone());
        let window = job.workload.outstanding.unwrap_or(1);
        let work = PlainWork::nearest_to(job.workload.operation).context("no floor for this")?;
        crew.spawn("raw-0", move |probe| match work {
            PlainWork::Publish => floods::publish(client, &queue, &body, probe),
            PlainWork::Confirmed => floods::publish_confirmed(client, &queue, &body, window, probe),
            PlainWork::Consume => floods::consume(client, &queue, probe),
            PlainWork::Call => rpc::call(client, &queue, &body, window, probe),
        })
    }

    fn serve(&self, place: &Place, queue: &str, _n: usize, ready: Box<dyn FnOnce()>) -> Result<()> {
        rpc::serve(Client::connect(place)?, queue, ready)
    }
}
