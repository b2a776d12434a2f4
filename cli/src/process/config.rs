//! What a child is started with.

use std::io::Write;
use tempfile::NamedTempFile;
use wire::document::{DeviceDocument, GatewayDocument, ReadyDocument};

/// The document of a device or a gateway.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Config {
    /// A device with its fragments.
    Device(Box<DeviceDocument>),
    /// A gateway, with the name that tells it from others.
    Gateway(String, Box<GatewayDocument>),
}

impl Config {
    /// Name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Config::Device(document) => format!("device {}", document.device),
            Config::Gateway(name, _) => format!("gateway {name}"),
        }
    }

    /// The subcommand of `eenn runtime` that takes it.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Config::Device(_) => "fragment",
            Config::Gateway(..) => "gateway",
        }
    }

    /// Makes a process that is started again listen where the first one did.
    pub(crate) fn keep_ports(&mut self, ready: &ReadyDocument) {
        let (listen, metrics) = match self {
            Config::Device(document) => (&mut document.listen, &mut document.metrics_listen),
            Config::Gateway(_, document) => (&mut document.listen, &mut document.admin_listen),
        };
        listen.clone_from(&ready.address);
        metrics.clone_from(&ready.metrics);
    }

    /// Writes the document for the child to read. The file goes when it is dropped.
    pub(crate) fn write(&self) -> std::io::Result<NamedTempFile> {
        let json = match self {
            Config::Device(document) => serde_json::to_vec_pretty(document.as_ref()),
            Config::Gateway(_, document) => serde_json::to_vec_pretty(document.as_ref()),
        };
        let mut file = tempfile::Builder::new().prefix("eenn-").suffix(".json").tempfile()?;
        file.write_all(&json?)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_the_first_start_are_kept() {
        let mut config = Config::Device(Box::new(DeviceDocument {
            device: "edge".into(),
            listen: "127.0.0.1:0".into(),
            metrics_listen: "127.0.0.1:0".into(),
            fragments: vec![],
            links: Default::default(),
            emulate: None,
            memory_budget_bytes: None,
            tls: None,
        }));
        config.keep_ports(&ReadyDocument {
            address: "127.0.0.1:4".into(),
            metrics: "127.0.0.1:5".into(),
            control: None,
        });
        let Config::Device(document) = &config else { panic!() };
        assert_eq!((document.listen.as_str(), document.metrics_listen.as_str()), ("127.0.0.1:4", "127.0.0.1:5"));
        assert_eq!((config.name().as_str(), config.role()), ("device edge", "fragment"));
    }
}
