-- The refused values themselves stay in the warehouse: a broken phone number is still somebody's.
select
    batch_id,
    source,
    table_name,
    file,
    column_name,
    code,
    rows as rejected_rows,
    first_line
from {{ source('ingest', 'rejection') }}
