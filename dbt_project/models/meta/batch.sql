select
    batch_id,
    source,
    table_name,
    status,
    window_from,
    window_to,
    business_day,
    manifest_rows,
    loaded_rows,
    rejected_rows,
    erased_rows,
    superseded_rows,
    unknown_columns,
    refusal_code,
    refusal_message_zh,
    refusal_message_en
from {{ source('ingest', 'batch') }}
