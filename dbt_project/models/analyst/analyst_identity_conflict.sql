select
    * exclude (left_key, right_key)
    replace (case when value_type <> 'binding' then value_masked end as value_masked)
from {{ same_file(ref('identity_conflict')) }}
