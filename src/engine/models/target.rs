//! From the name that a crew's file gives to where that model is reached, and with which key.

use crewline_protocol::fault::{Fault, FaultCode, Retry};
use genai::{
    ModelIden, ServiceTarget,
    adapter::AdapterKind,
    resolver::{AuthData, Endpoint},
};
use secrecy::{ExposeSecret, SecretString};

use crate::settings::{Settings, Source};

/// A model by its provider and its name there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// As it stands before the first `/`; what the name tells where there is none.
    pub(super) provider: String,
    /// As the provider calls it.
    pub(super) name: String,
}

/// Providers by the names that CrewAI and LiteLLM have for them, the API that they speak, and where their keys are in the environment.
const PROVIDERS: &[(&str, AdapterKind, Option<&str>)] = &[
    ("openai", AdapterKind::OpenAI, Some("OPENAI_API_KEY")),
    ("anthropic", AdapterKind::Anthropic, Some("ANTHROPIC_API_KEY")),
    ("gemini", AdapterKind::Gemini, Some("GEMINI_API_KEY")),
    ("google", AdapterKind::Gemini, Some("GEMINI_API_KEY")),
    ("vertex_ai", AdapterKind::Vertex, Some("VERTEX_API_KEY")),
    ("vertex", AdapterKind::Vertex, Some("VERTEX_API_KEY")),
    ("ollama", AdapterKind::Ollama, None),
    ("groq", AdapterKind::Groq, Some("GROQ_API_KEY")),
    ("mistral", AdapterKind::Mistral, Some("MISTRAL_API_KEY")),
    ("deepseek", AdapterKind::DeepSeek, Some("DEEPSEEK_API_KEY")),
    ("xai", AdapterKind::Xai, Some("XAI_API_KEY")),
    ("cohere", AdapterKind::Cohere, Some("COHERE_API_KEY")),
    ("openrouter", AdapterKind::OpenRouter, Some("OPENROUTER_API_KEY")),
];

/// What a name without a provider begins with, and whose it is.
const FAMILIES: &[(&str, &str)] =
    &[("gpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("claude", "anthropic"), ("gemini", "gemini")];

/// Where a model is reached.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) provider: String,
    pub(super) model: ModelIden,
    /// Another address than the provider's own.
    url: Option<String>,
    /// Where its key is; absent: the provider asks for none.
    key: Option<Source>,
}

impl Asked {
    /// Reads `openai/gpt-4o-mini`, or a name that tells its provider by itself.
    pub(super) fn parse(llm: &str) -> Self {
        match llm.split_once('/') {
            Some((provider, name)) => Self { provider: provider.to_lowercase(), name: name.to_owned() },
            None => {
                let family = FAMILIES.iter().find(|(start, _)| llm.starts_with(start));
                Self { provider: family.map_or("openai", |(_, provider)| provider).to_owned(), name: llm.to_owned() }
            }
        }
    }
}

impl Target {
    /// Where the settings say that this model is.
    ///
    /// # Errors
    /// `invalid` for a provider that is neither known nor given an address.
    pub(super) fn of(asked: &Asked, settings: &Settings) -> Result<Self, Fault> {
        let url = settings.model_urls.get(&asked.provider).map(with_slash);
        let known = PROVIDERS.iter().find(|(name, ..)| *name == asked.provider);
        let (kind, environment) = match known {
            Some((_, kind, environment)) => (*kind, *environment),
            // Whoever gives an address says that what answers there speaks as OpenAI does.
            None if url.is_some() => (AdapterKind::OpenAI, None),
            None => {
                let names: Vec<&str> = PROVIDERS.iter().map(|(name, ..)| *name).collect();
                let message = format!(
                    "there is no provider `{}`: there are {}; of another that speaks OpenAI's API the setting `model_urls` says where it is",
                    asked.provider,
                    names.join(", ")
                );
                return Err(Fault { retry: Retry::Never, ..Fault::new(FaultCode::Invalid, message) });
            }
        };
        let key = match settings.model_key_files.get(&asked.provider) {
            Some(file) => Some(Source::File(file.clone())),
            None => environment.map(|name| Source::Environment(name.to_owned())),
        };
        Ok(Self { provider: asked.provider.clone(), model: ModelIden::new(kind, asked.name.clone()), url, key })
    }

    /// The key as it is now; `None` where the provider asks for none.
    ///
    /// # Errors
    /// `unavailable`: where it was looked for.
    pub(super) fn key(&self) -> Result<Option<SecretString>, Fault> {
        let Some(source) = &self.key else { return Ok(None) };
        let in_environment = matches!(source, Source::Environment(_));
        match source.read() {
            Ok(key) => Ok(Some(key.into())),
            // At an address of one's own there may be a server that asks for none.
            Err(_) if in_environment && self.url.is_some() => Ok(None),
            Err(why) => {
                let or_file = if in_environment { ", or name a file in the setting `model_key_files`" } else { "" };
                let message = format!("there is no key for `{}`: {why}{or_file}", self.provider);
                Err(Fault { retry: Retry::Never, ..Fault::new(FaultCode::Unavailable, message) })
            }
        }
    }

    /// The same as the library takes it.
    pub(super) fn service(&self, default: Endpoint, key: Option<&SecretString>) -> ServiceTarget {
        let endpoint = self.url.clone().map_or(default, Endpoint::from_owned);
        // A server without keys takes any.
        let auth = AuthData::from_single(key.map_or("none", |key| key.expose_secret()));
        ServiceTarget { endpoint, auth, model: self.model.clone() }
    }
}

/// The library joins paths as URLs are: what comes after the last slash would be lost.
fn with_slash(url: &String) -> String {
    if url.ends_with('/') { url.clone() } else { format!("{url}/") }
}
