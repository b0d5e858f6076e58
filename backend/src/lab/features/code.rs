//! `GET /v1/lab/code/{feature}`: the whole source code of a use case, as it was compiled into this server.

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
        Failure::new(Code::NotFound, format!("there is no use case {:?}", path.as_str())).field("feature")
    })?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(Answer { files }))
}

fn files(feature: &str) -> Option<Vec<File>> {
    Some(match feature {
        "chat" => files!["frontend/src/pages/features/chat.rs", "shared/src/feature/chat.rs"],
        "score" => files![
            "frontend/src/pages/features/score.rs",
            "backend/src/lab/features/score.rs",
            "shared/src/feature/score.rs",
        ],
        "orders" => files![
            "frontend/src/pages/features/orders.rs",
            "backend/src/lab/features/orders.rs",
            "shared/src/feature/order.rs",
        ],
        "notifications" => files![
            "frontend/src/pages/features/notifications.rs",
            "backend/src/lab/features/notices.rs",
            "shared/src/feature/notice.rs",
        ],
        "dashboard" => files![
            "frontend/src/pages/features/dashboard.rs",
            "backend/src/lab/features/host.rs",
            "shared/src/feature/host.rs",
        ],
        "progress" => files![
            "frontend/src/pages/features/progress.rs",
            "backend/src/lab/features/uploads.rs",
            "shared/src/feature/upload.rs",
        ],
        "pointers" => files![
            "frontend/src/pages/features/pointers.rs",
            "backend/src/lab/features/pointers.rs",
            "shared/src/feature/pointer.rs",
        ],
        "editing" => files![
            "frontend/src/pages/features/editing.rs",
            "frontend/src/pages/features/paper.rs",
            "backend/src/lab/features/texts.rs",
            "shared/src/feature/text.rs",
        ],
        "trading" => files![
            "frontend/src/pages/features/trading.rs",
            "backend/src/lab/features/trades.rs",
            "shared/src/feature/trade.rs",
        ],
        _ => return None,
    })
}
