select * exclude (identity_key)
from {{ same_file(ref('customer_attribute_origin')) }}
