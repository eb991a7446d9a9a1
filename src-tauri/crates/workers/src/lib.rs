//! The step types that Quaero comes with: for each a manager and its workers, one folder per
//! domain. What they fetch and read goes through [`extract`].

pub mod crawl;
pub mod extract;
pub mod local_dir;
mod parsing;
pub mod reindex;
pub mod transform;

use quaero_engine::work::Registry;

/// Every step type of the product. PDF files are read with `pdf`.
#[must_use]
pub fn registry(pdf: extract::PdfExtractor) -> Registry {
    Registry::default()
        .with_manager(crawl::CrawlManager)
        .with_worker(crawl::CrawlWorker::new(pdf.clone()))
        .with_manager(local_dir::LocalDirManager)
        .with_worker(local_dir::ScanWorker)
        .with_worker(local_dir::FileWorker::new(pdf))
        .with_manager(transform::TransformManager)
        .with_worker(transform::SelectWorker)
        .with_worker(transform::DocumentWorker)
        .with_manager(reindex::ReindexManager)
        .with_worker(reindex::ReindexWorker)
}
