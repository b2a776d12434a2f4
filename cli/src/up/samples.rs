//! What load carries, and the request that a user can try.

use crate::load::driver::Samples;
use anyhow::{Context, bail};
use deployment::Deployment;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wire::document::InputDocument;

/// Samples of a service.
#[derive(Debug)]
pub(crate) struct ServiceSamples {
    /// The service.
    pub(crate) service: String,
    /// Bodies to send; none when there is no data.
    pub(crate) samples: Option<Arc<Samples>>,
    /// A request in JSON to try.
    pub(crate) example: serde_json::Value,
}

/// Reads the data for every service. Without data there is nothing to send, which is an error when `needed`.
pub(crate) fn read(deployment: &Deployment, data: Option<&Path>, needed: bool) -> anyhow::Result<Vec<ServiceSamples>> {
    let file = data.map(|path| Ok::<_, anyhow::Error>((path, api::samples::read(path)?))).transpose()?;
    if needed && file.is_none() {
        bail!("--load needs samples to send: put a load.safetensors beside the manifests, or name one with --data");
    }
    let inputs =
        deployment.services.iter().filter_map(|service| Some((&service.name, &service.gateways.first()?.model.input)));
    inputs
        .map(|(service, input)| {
            let Some((path, samples)) = &file else {
                let zeros = vec![0.0; input.shape.iter().product()];
                return Ok(ServiceSamples { service: service.clone(), samples: None, example: request(input, &zeros) });
            };
            check(samples, input).with_context(|| format!("{} does not fit service {service}", path.display()))?;
            Ok(ServiceSamples {
                service: service.clone(),
                samples: Some(Arc::new(bodies(samples, input))),
                example: request(input, samples.input(0)),
            })
        })
        .collect()
}

fn check(samples: &api::samples::Samples, input: &InputDocument) -> anyhow::Result<()> {
    if samples.shape() != input.shape {
        bail!("its samples have shape {:?}, the model takes {:?}", samples.shape(), input.shape);
    }
    Ok(())
}

fn bodies(samples: &api::samples::Samples, input: &InputDocument) -> Samples {
    let rows = (0..samples.count()).map(|index| (samples.input(index), samples.label(index)));
    Samples::new(&input.name, &input.shape, rows)
}

/// An inference request in JSON.
fn request(input: &InputDocument, values: &[f32]) -> serde_json::Value {
    let shape: Vec<usize> = std::iter::once(1).chain(input.shape.iter().copied()).collect();
    serde_json::json!({"inputs": [{"name": input.name, "datatype": "FP32", "shape": shape, "data": values}]})
}

/// Writes the example request of a service into `folder`.
pub(crate) fn write_example(samples: &ServiceSamples, folder: &Path) -> std::io::Result<PathBuf> {
    let file = folder.join(format!("{}-request.json", samples.service));
    std::fs::write(&file, samples.example.to_string())?;
    Ok(file)
}
