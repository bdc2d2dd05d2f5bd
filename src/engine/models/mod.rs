//! The models that agents ask for, by the names that their files give: the simulated one, unless the settings name another.

mod provider;
mod retry;
mod target;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use crewline_protocol::{event::Usage, fault::Fault, value::MicroUsd};

use super::{model::Model, simulated::Simulated, stage::lock};
use crate::settings::{Price, Settings};
use provider::Provider;
use target::{Asked, Target};

/// What a model is called in the settings where none is to be asked.
const SIMULATED: &str = "simulated";

/// Gives agents their models.
pub struct Models(Kind);

enum Kind {
    /// One answers all.
    Only(Arc<dyn Model>),
    Asked(Box<Providers>),
}

struct Providers {
    settings: Settings,
    client: reqwest::Client,
    /// By the names that were asked for.
    known: Mutex<HashMap<String, Arc<dyn Model>>>,
}

impl Models {
    /// The models of these settings. Whether they answer shows when they are asked.
    ///
    /// # Errors
    /// Where a client over TLS can't be made: the system gives no randomness or no certificates.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        if settings.model == SIMULATED {
            return Ok(Self::only(Arc::new(Simulated { tokens_per_s: settings.simulated_tokens_per_s })));
        }
        let (settings, client) = (settings.clone(), provider::client()?);
        Ok(Self(Kind::Asked(Box::new(Providers { settings, client, known: Mutex::default() }))))
    }

    /// This one, whatever is asked for.
    pub fn only(model: Arc<dyn Model>) -> Self {
        Self(Kind::Only(model))
    }

    /// The model that an agent asks for as CrewAI's files have it, such as `openai/gpt-4o-mini`; `None`: the settings' own.
    ///
    /// # Errors
    /// `invalid` for a provider that nobody knows: what the settings would need.
    pub fn model(&self, llm: Option<&str>) -> Result<Arc<dyn Model>, Fault> {
        match &self.0 {
            Kind::Only(model) => Ok(model.clone()),
            Kind::Asked(providers) => providers.model(llm),
        }
    }
}

impl Providers {
    fn model(&self, llm: Option<&str>) -> Result<Arc<dyn Model>, Fault> {
        let llm = llm.map(str::trim).filter(|llm| !llm.is_empty()).unwrap_or(self.settings.model.as_str());
        if let Some(known) = self.known().get(llm) {
            return Ok(known.clone());
        }
        let target = Target::of(&Asked::parse(llm), &self.settings)?;
        let model: Arc<dyn Model> = Arc::new(Provider::new(llm, target, &self.settings, self.client.clone()));
        self.known().insert(llm.to_owned(), model.clone());
        Ok(model)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Arc<dyn Model>>> {
        lock(&self.known)
    }
}

/// What a model's tokens cost by the settings' prices: by its name, or by what is behind its provider's.
pub fn usage_of(settings: &Settings, model: &str, input_tokens: u64, output_tokens: u64) -> Usage {
    let named = |name: &str| settings.model_prices.get(name).copied();
    let price = named(model).or_else(|| named(model.split_once('/')?.1)).unwrap_or_default();
    priced(input_tokens, output_tokens, price)
}

/// What so many tokens cost, rounded up to a whole micro-dollar.
fn priced(input_tokens: u64, output_tokens: u64, price: Price) -> Usage {
    let microusd =
        (u128::from(input_tokens) * u128::from(price.input) + u128::from(output_tokens) * u128::from(price.output)).div_ceil(1_000_000);
    Usage { input_tokens, output_tokens, cost_microusd: MicroUsd(i64::try_from(microusd).unwrap_or(i64::MAX)) }
}

#[cfg(test)]
mod tests;
