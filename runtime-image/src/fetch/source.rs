//! Where a file comes from.

use anyhow::{Context as _, bail, ensure};
use rusty_s3::actions::S3Action as _;
use rusty_s3::{Bucket, Credentials, UrlStyle};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A signed address is used at once.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// A file to be fetched.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Https(Url),
    S3(Box<Object>),
}

/// An object of a store that speaks S3.
#[derive(Debug)]
pub(super) struct Object {
    bucket: Bucket,
    key: String,
    /// Without them the object has to be public.
    credentials: Option<Credentials>,
}

impl Source {
    /// Reads an address; what S3 needs beside it comes from `environment`.
    pub(super) fn read(uri: &str, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let Some((scheme, rest)) = uri.split_once("://") else { return Ok(Source::File(uri.into())) };
        match scheme {
            "file" => Ok(Source::File(rest.into())),
            "https" => Ok(Source::Https(Url::parse(uri)?)),
            "s3" => Ok(Source::S3(Box::new(Object::read(rest, environment)?))),
            "http" => bail!("it is not secured: use https"),
            _ => bail!("its scheme is none of https, s3 and file"),
        }
    }

    /// What is asked for now.
    pub(super) fn url(&self) -> Option<Url> {
        match self {
            Source::File(_) => None,
            Source::Https(url) => Some(url.clone()),
            Source::S3(object) => {
                let get = object.bucket.get_object(object.credentials.as_ref(), &object.key);
                Some(get.sign(SIGNED_FOR))
            }
        }
    }

    /// Servers of files send clients elsewhere; a signature holds for one place.
    pub(super) fn follows_redirections(&self) -> bool {
        matches!(self, Source::Https(_))
    }
}

impl Object {
    fn read(rest: &str, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        ensure!(!bucket.is_empty() && !key.is_empty(), "it is not of the form s3://BUCKET/KEY");
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned());
        let (endpoint, style) = match set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL")) {
            Some(endpoint) => (endpoint, UrlStyle::Path),
            // A certificate for *.s3.… does not hold for a bucket with dots.
            None if bucket.contains('.') => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::Path),
            None => (format!("https://s3.{region}.amazonaws.com"), UrlStyle::VirtualHost),
        };
        let endpoint: Url = endpoint.parse().with_context(|| format!("AWS_ENDPOINT_URL is {endpoint:?}"))?;
        let bucket = Bucket::new(endpoint, style, bucket.to_owned(), region)?;
        let credentials = match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY"), set("AWS_SESSION_TOKEN")) {
            (Some(id), Some(secret), Some(token)) => Some(Credentials::new_with_token(id, secret, token)),
            (Some(id), Some(secret), None) => Some(Credentials::new(id, secret)),
            (None, None, _) => None,
            _ => bail!("of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set"),
        };
        Ok(Self { bucket, key: key.to_owned(), credentials })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &str, environment: &[(&str, &str)]) -> anyhow::Result<Source> {
        let find = |name: &str| environment.iter().find(|(known, _)| *known == name);
        Source::read(uri, |name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn check(uri: &str, environment: &[(&str, &str)], expected: &str) {
        let url = read(uri, environment).unwrap().url().unwrap();
        assert_eq!(url.as_str().split_once('?').map_or(url.as_str(), |(place, _)| place), expected, "{environment:?}");
    }

    #[test]
    fn objects_are_found_by_region_or_endpoint() {
        let (own, region) = (("AWS_ENDPOINT_URL", "http://store:9000"), ("AWS_REGION", "eu-central-1"));
        check("s3://models/a/b.onnx", &[], "https://models.s3.us-east-1.amazonaws.com/a/b.onnx");
        check("s3://models/a b.onnx", &[region], "https://models.s3.eu-central-1.amazonaws.com/a%20b.onnx");
        check("s3://my.models/a", &[region], "https://s3.eu-central-1.amazonaws.com/my.models/a");
        check("s3://models/a/b.onnx", &[region, own], "http://store:9000/models/a/b.onnx");
    }

    #[test]
    fn with_credentials_the_address_is_signed_and_without_it_is_not() {
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_SESSION_TOKEN", "token")];
        let query = |environment: &[(&str, &str)]| {
            read("s3://models/a", environment).unwrap().url().unwrap().query().unwrap_or_default().to_owned()
        };
        assert_eq!(query(&[]), "");
        assert!(query(&keys[..2]).contains("X-Amz-Signature="));
        assert!(query(&keys).contains("X-Amz-Security-Token=token"));
        assert!(!query(&keys).contains("secret"));
    }

    #[test]
    fn what_cannot_be_fetched_is_said() {
        let refused = |uri: &str, environment: &[(&str, &str)]| read(uri, environment).unwrap_err().to_string();
        assert_eq!(refused("http://a/b", &[]), "it is not secured: use https");
        assert_eq!(refused("gs://a/b", &[]), "its scheme is none of https, s3 and file");
        assert_eq!(refused("s3://a", &[]), "it is not of the form s3://BUCKET/KEY");
        let half = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "")];
        assert_eq!(refused("s3://a/b", &half), "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set");
        assert!(matches!(read("file:///models/a.onnx", &[]).unwrap(), Source::File(file) if file.is_absolute()));
        assert!(matches!(read("a.onnx", &[]).unwrap(), Source::File(_)));
    }
}
