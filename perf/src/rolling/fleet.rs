//! The servers and clients of a run, and how they are replaced.
//!
//! Invariant: a member works at every index, except between an old member that stops first and the
//! new one. Not here: which moves are made (`phases`).

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::counts::Traffic;
use super::ledger::DISCOVERED_WITHIN;
use super::phases::{FleetSize, Move};
use super::{client, server};
use crate::cli::rolling::Replace;
use crate::rolling::environment::{Environment, wait_until_timeout};

/// Longest wait for the first request of a new member; the update then goes on without it.
const WORKS_WITHIN: Duration = Duration::from_secs(10);

/// All members.
pub(super) struct Fleet {
    environment: Arc<Environment>,
    replace: Replace,
    servers: Vec<Option<server::Member>>,
    clients: Vec<Option<client::Member>>,
    /// Counters of members that have stopped.
    gone: Traffic,
}

impl Fleet {
    /// Starts the fleet before the update: servers first, so that no client calls without a server.
    pub(super) async fn start(
        environment: Arc<Environment>,
        size: FleetSize,
        replace: Replace,
    ) -> Result<Self> {
        let mut servers = Vec::new();
        for index in 0..size.servers {
            let name = environment.names.at(index);
            servers.push(Some(
                server::Member::start(&environment, size.old_server(index), name).await?,
            ));
        }
        let mut clients = Vec::new();
        for index in 0..size.clients {
            clients.push(Some(client::Member::start(&environment, size.old_client(index)).await?));
        }
        Ok(Self { environment, replace, servers, clients, gone: Traffic::default() })
    }

    /// Makes one move under load.
    pub(super) async fn make(&mut self, one: Move) -> Result<()> {
        let stops_first = self.replace == Replace::StopFirst;
        match one {
            Move::Server(index, kind) => {
                if stops_first {
                    self.environment.names.withdraw(index).await;
                    self.stop_server(index).await?;
                }
                let next = server::Member::start(
                    &self.environment,
                    kind,
                    self.environment.names.at(index),
                );
                let next = next.await?;
                if stops_first {
                    tokio::time::sleep(DISCOVERED_WITHIN).await;
                    self.environment.names.restore(index);
                }
                let number = next.number;
                self.note(format!("server {index} is {kind}, too"));
                wait_until_timeout(WORKS_WITHIN, || self.environment.ledger.has_worked(number))
                    .await;
                self.dwell().await;
                if !stops_first {
                    self.stop_server(index).await?;
                }
                self.servers[index] = Some(next);
            }
            Move::Client(index, kind) => {
                if stops_first {
                    self.stop_client(index).await?;
                }
                let next = client::Member::start(&self.environment, kind).await?;
                self.note(format!("client {index} is {kind}, too"));
                wait_until_timeout(WORKS_WITHIN, || next.has_worked()).await;
                self.dwell().await;
                if !stops_first {
                    self.stop_client(index).await?;
                }
                self.clients[index] = Some(next);
            }
        }
        self.dwell().await;
        Ok(())
    }

    /// The counters of all members.
    pub(super) fn traffic(&self) -> Traffic {
        let mut traffic = self.gone;
        self.servers.iter().flatten().for_each(|member| traffic += member.traffic());
        self.clients.iter().flatten().for_each(|member| traffic += member.traffic());
        traffic
    }

    /// Waits between two moves.
    pub(super) async fn dwell(&self) {
        tokio::time::sleep(self.environment.dwell).await;
    }

    /// Stops all members: the clients first, and the servers when they have executed all accepted
    /// requests, or after the timeout of a call. Returns whether they have.
    pub(super) async fn stop(&mut self) -> Result<bool> {
        for index in 0..self.clients.len() {
            self.stop_client(index).await?;
        }
        let ledger = &self.environment.ledger;
        let is_settled = wait_until_timeout(self.environment.timeout, || ledger.is_settled()).await;
        for index in 0..self.servers.len() {
            self.stop_server(index).await?;
        }
        Ok(is_settled)
    }

    fn note(&self, event: String) {
        self.environment.ledger.note(event);
    }

    async fn stop_server(&mut self, index: usize) -> Result<()> {
        if let Some(member) = self.servers[index].take() {
            self.note(format!("the old server {index} stops"));
            self.gone += member.stop().await?;
            self.note(format!("the old server {index} has stopped"));
        }
        Ok(())
    }

    async fn stop_client(&mut self, index: usize) -> Result<()> {
        if let Some(member) = self.clients[index].take() {
            self.note(format!("the old client {index} stops"));
            self.gone += member.stop().await?;
            self.note(format!("the old client {index} has stopped"));
        }
        Ok(())
    }
}
