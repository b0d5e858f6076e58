//! `GET /v1/lab/code/{use_case}`: the whole source code of a use case, as it was compiled into this server.

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::Code;
use serde::Serialize;

use crate::problem::Failure;

#[derive(Clone, Copy, Serialize)]
struct File {
    path: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
struct Answer {
    files: Vec<File>,
}

/// Embeds files by their paths in the repository.
macro_rules! files {
    ($($path:literal),* $(,)?) => {
        vec![$(File { path: $path, text: include_str!(concat!("../../../../", $path)) }),*]
    };
}

/// Answers with the source files of a use case, the browser's side first.
///
/// # Errors
/// 404 for an unknown use case.
pub async fn handle(path: web::Path<String>) -> Result<HttpResponse, Failure> {
    let files = files(&path).ok_or_else(|| {
        Failure::new(Code::NotFound, format!("there is no use case {:?}", path.as_str())).field("use_case")
    })?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(Answer { files }))
}

fn files(use_case: &str) -> Option<Vec<File>> {
    Some(match use_case {
        "chat" => files!["frontend/src/pages/use_cases/chat.rs", "shared/src/use_case/chat.rs"],
        "score" => files![
            "frontend/src/pages/use_cases/score.rs",
            "backend/src/lab/use_cases/score.rs",
            "shared/src/use_case/score.rs",
        ],
        "order" => files![
            "frontend/src/pages/use_cases/order.rs",
            "backend/src/lab/use_cases/order.rs",
            "shared/src/use_case/order.rs",
        ],
        "notice" => files![
            "frontend/src/pages/use_cases/notice.rs",
            "backend/src/lab/use_cases/notice.rs",
            "shared/src/use_case/notice.rs",
        ],
        "dashboard" => files![
            "frontend/src/pages/use_cases/dashboard.rs",
            "backend/src/lab/use_cases/dashboard.rs",
            "shared/src/use_case/dashboard.rs",
        ],
        "upload" => files![
            "frontend/src/pages/use_cases/upload.rs",
            "backend/src/lab/use_cases/upload.rs",
            "shared/src/use_case/upload.rs",
        ],
        "pointer" => files![
            "frontend/src/pages/use_cases/pointer.rs",
            "backend/src/lab/use_cases/pointer.rs",
            "shared/src/use_case/pointer.rs",
        ],
        "text" => files![
            "frontend/src/pages/use_cases/text.rs",
            "frontend/src/pages/use_cases/paper.rs",
            "backend/src/lab/use_cases/text.rs",
            "shared/src/use_case/text.rs",
        ],
        "trade" => files![
            "frontend/src/pages/use_cases/trade.rs",
            "frontend/src/pages/use_cases/market.rs",
            "backend/src/lab/use_cases/trade.rs",
            "shared/src/use_case/trade.rs",
        ],
        _ => return None,
    })
}
