select
    * exclude (comment)
    replace ({{ mask_name('doctor_name') }} as doctor_name)
from {{ same_file(ref('fct_review')) }}
