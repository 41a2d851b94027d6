//! Reports about what is loaded, for clients that cannot read the pins. The daemon has given up the privilege to find the
//! image in force by its number, and says what it holds.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::watch, task};

use crate::{
    bans::prefix::read_prefixes,
    config::Config,
    control::{
        in_force::InForce,
        protocol::{FlowQuery, ReportRequest},
        reports::Reports,
    },
    error::{Error, UserError},
    generation::in_force::{Loaded, LoadedError},
    observe::{
        bans::BanListing,
        counters::CounterSnapshot,
        flows::{FlowFilter, FlowListing},
        rules::RuleListing,
        status::Status,
    },
};

/// The most bans or flows in a report: more would take much memory of the daemon.
const MOST: usize = 10_000;

/// Makes reports of the instance of this daemon.
pub(super) struct Reporter {
    pub(super) config: Config,
    pub(super) in_force: watch::Receiver<Option<InForce>>,
}

/// A report cannot be made.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    /// What is asked for is none.
    #[error("{0}")]
    Query(String),
    /// It cannot be written.
    #[error("the report cannot be written")]
    Written(#[from] serde_json::Error),
}

impl UserError for ReportError {}

impl Reports for Reporter {
    fn make<'a>(&'a self, request: &'a ReportRequest) -> BoxFuture<'a, Result<Value, Error>> {
        Box::pin(self.report(request))
    }
}

impl Reporter {
    async fn report(&self, request: &ReportRequest) -> Result<Value, Error> {
        if let ReportRequest::Status {} = request {
            let status = Status::of_loaded(&self.config, Some(&*self.loaded()?)).await?;
            return written(&status);
        }
        task::block_in_place(|| self.read(request))
    }

    fn read(&self, request: &ReportRequest) -> Result<Value, Error> {
        match request {
            ReportRequest::Status {} => Err(Error::Ending),
            ReportRequest::Rules {
                counters: false,
                previous: false,
            } => written(&RuleListing::of_loaded(&*self.loaded()?)),
            ReportRequest::Rules { previous: true, .. } => {
                let in_force = self.loaded()?.metadata.generation;
                written(&RuleListing::previous(&self.config, in_force)?)
            }
            ReportRequest::Rules { counters: true, .. } => {
                let (loaded, counters) = self.counters()?;
                let mut listing = RuleListing::of_loaded(&loaded);
                listing.add(&counters);
                written(&listing)
            }
            ReportRequest::Counters {} => written(&self.counters()?.1),
            ReportRequest::Bans {} => {
                self.loaded()?;
                written(&BanListing::of(&self.config.pins, MOST)?)
            }
            ReportRequest::Flows(query) => {
                self.loaded()?;
                written(&FlowListing::of(&self.config, &filter(query)?, MOST)?)
            }
        }
    }

    /// The counters of the generation in force; again when another one came into force meanwhile.
    fn counters(&self) -> Result<(Arc<Loaded>, CounterSnapshot), Error> {
        loop {
            let loaded = self.loaded()?;
            let read = CounterSnapshot::of_loaded(&self.config, &loaded);
            if self.loaded()?.metadata.generation == loaded.metadata.generation {
                return Ok((loaded, read?));
            }
        }
    }

    fn loaded(&self) -> Result<Arc<Loaded>, LoadedError> {
        let in_force = self.in_force.borrow();
        let loaded = in_force.as_ref().and_then(|of| of.loaded.clone());
        loaded.ok_or_else(|| LoadedError::Nothing(self.config.instance.clone()))
    }
}

fn filter(query: &FlowQuery) -> Result<FlowFilter, ReportError> {
    let addresses = query.address.as_deref().map(read_prefixes).transpose();
    Ok(FlowFilter {
        protocol: query.protocol.clone(),
        addresses: addresses.map_err(ReportError::Query)?.unwrap_or_default(),
        port: query.port,
        phase: query.phase.clone(),
    })
}

fn written(report: &impl Serialize) -> Result<Value, Error> {
    Ok(serde_json::to_value(report).map_err(ReportError::from)?)
}
