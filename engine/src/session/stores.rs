//! Object stores by URL, with credentials from the environment.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::exec_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::aws::AmazonS3Builder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, ObjectStore};
use url::Url;

/// Opens the store that a URL names when it is first asked for: `file://`, `s3://` (AWS_… variables),
/// `gs://` (GOOGLE_… variables), `http://` and `https://`. Every process of a cluster has one, so each
/// needs the credentials in its own environment: plans carry none.
#[derive(Debug, Default)]
pub struct Stores {
    opened: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl ObjectStoreRegistry for Stores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.insert(place(url), store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place(url);
        if let Some(store) = opened.get(&place) {
            return Ok(store.clone());
        }
        let store = open(url)?;
        opened.insert(place, store.clone());
        Ok(store)
    }
}

fn place(url: &Url) -> String {
    url[..url::Position::BeforePath].to_string()
}

fn open(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    let failed = |error: object_store::Error| DataFusionError::ObjectStore(Box::new(error));
    let bucket = || match url.host_str() {
        Some(host) => Ok(host),
        None => exec_err!("expected a bucket in {url}, found none"),
    };
    Ok(match url.scheme() {
        "file" => Arc::new(LocalFileSystem::new()),
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::from_env().with_bucket_name(bucket()?);
            Arc::new(builder.build().map_err(failed)?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket()?);
            Arc::new(builder.build().map_err(failed)?)
        }
        "http" | "https" => {
            let options = ClientOptions::new().with_allow_http(true);
            let builder = HttpBuilder::new()
                .with_client_options(options)
                .with_url(place(url));
            Arc::new(builder.build().map_err(failed)?)
        }
        other => {
            return exec_err!(
                "expected a file or a URL of file, s3, gs, http or https, found {other}"
            );
        }
    })
}
