//! The servers and clients of a run, and how one of them gives way to its successor.
//!
//! Invariant: at every place somebody works, but for a moment where the old one stops first. Not
//! here: which moves are made (`phases`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::counts::Traffic;
use super::ledger::KNOWN_WITHIN;
use super::phases::{Move, Size};
use super::{client, server};
use crate::cli::rolling::Replace;
use crate::rolling::environment::{World, until_within};

/// How long a new member may take to do something; then the update goes on without.
const WORKS_WITHIN: Duration = Duration::from_secs(10);

/// All members.
pub(super) struct Fleet {
    world: Arc<World>,
    replace: Replace,
    servers: Vec<Option<server::Member>>,
    clients: Vec<Option<client::Member>>,
    /// What those have counted who are gone.
    gone: Traffic,
}

impl Fleet {
    /// The fleet before the update: servers first, so that no client calls nobody.
    pub(super) async fn start(world: Arc<World>, size: Size, replace: Replace) -> Result<Self> {
        let mut servers = Vec::new();
        for place in 0..size.servers {
            let name = world.names.at(place);
            servers.push(Some(server::Member::start(&world, size.old_server(place), name).await?));
        }
        let mut clients = Vec::new();
        for place in 0..size.clients {
            clients.push(Some(client::Member::start(&world, size.old_client(place)).await?));
        }
        Ok(Self { world, replace, servers, clients, gone: Traffic::default() })
    }

    /// Makes one move, under load.
    pub(super) async fn make(&mut self, one: Move) -> Result<()> {
        let stops_first = self.replace == Replace::StopFirst;
        match one {
            Move::Server(place, kind) => {
                if stops_first {
                    self.world.names.withdraw(place).await;
                    self.stop_server(place).await?;
                }
                let next = server::Member::start(&self.world, kind, self.world.names.at(place));
                let next = next.await?;
                if stops_first {
                    tokio::time::sleep(KNOWN_WITHIN).await;
                    self.world.names.restore(place);
                }
                let number = next.number;
                self.note(format!("server {place} is {kind}, too"));
                until_within(WORKS_WITHIN, || self.world.ledger.has_worked(number)).await;
                self.dwell().await;
                if !stops_first {
                    self.stop_server(place).await?;
                }
                self.servers[place] = Some(next);
            }
            Move::Client(place, kind) => {
                if stops_first {
                    self.stop_client(place).await?;
                }
                let next = client::Member::start(&self.world, kind).await?;
                self.note(format!("client {place} is {kind}, too"));
                until_within(WORKS_WITHIN, || next.has_worked()).await;
                self.dwell().await;
                if !stops_first {
                    self.stop_client(place).await?;
                }
                self.clients[place] = Some(next);
            }
        }
        self.dwell().await;
        Ok(())
    }

    /// What everybody has counted so far.
    pub(super) fn traffic(&self) -> Traffic {
        let mut traffic = self.gone;
        self.servers.iter().flatten().for_each(|member| traffic += member.traffic());
        self.clients.iter().flatten().for_each(|member| traffic += member.traffic());
        traffic
    }

    /// Lets them work.
    pub(super) async fn dwell(&self) {
        tokio::time::sleep(self.world.dwell).await;
    }

    /// Stops everybody: clients first, and servers once they have executed what was sent, or the
    /// time of a call has passed. Whether they have.
    pub(super) async fn stop(&mut self) -> Result<bool> {
        for place in 0..self.clients.len() {
            self.stop_client(place).await?;
        }
        let ledger = &self.world.ledger;
        let is_settled = until_within(self.world.timeout, || ledger.is_settled()).await;
        for place in 0..self.servers.len() {
            self.stop_server(place).await?;
        }
        Ok(is_settled)
    }

    fn note(&self, event: String) {
        self.world.ledger.note(event);
    }

    async fn stop_server(&mut self, place: usize) -> Result<()> {
        if let Some(member) = self.servers[place].take() {
            self.note(format!("the old server {place} stops"));
            self.gone += member.stop().await?;
            self.note(format!("the old server {place} has stopped"));
        }
        Ok(())
    }

    async fn stop_client(&mut self, place: usize) -> Result<()> {
        if let Some(member) = self.clients[place].take() {
            self.note(format!("the old client {place} stops"));
            self.gone += member.stop().await?;
            self.note(format!("the old client {place} has stopped"));
        }
        Ok(())
    }
}
