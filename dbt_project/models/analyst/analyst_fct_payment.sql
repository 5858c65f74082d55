select * exclude (refund_reason)
from {{ same_file(ref('fct_payment')) }}
