select
    * replace (
        {{ mask_name('name') }} as name,
        {{ mask_phone('phone') }} as phone,
        {{ mask_name('owner_staff_name') }} as owner_staff_name
    )
from {{ same_file(ref('fct_lead')) }}
