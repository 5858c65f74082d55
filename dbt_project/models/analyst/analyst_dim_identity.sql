-- A source's own id (openid, external user id, lead number) would lead back to the person; a binding's value is one.
select
    * exclude (identity_key, source_id, reason_via_key)
    replace (case when reason_value_type <> 'binding' then reason_value_masked end as reason_value_masked)
from {{ same_file(ref('dim_identity')) }}
