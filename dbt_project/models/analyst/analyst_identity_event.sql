select
    * exclude (identity_key, via_identity_key)
    replace (case when cause_value_type <> 'binding' then cause_value_masked end as cause_value_masked)
from {{ same_file(ref('identity_event')) }}
