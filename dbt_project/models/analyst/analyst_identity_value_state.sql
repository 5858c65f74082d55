select * exclude (value, owner_key)
from {{ same_file(ref('identity_value_state')) }}
