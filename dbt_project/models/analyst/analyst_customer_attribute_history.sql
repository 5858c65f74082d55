select
    * exclude (patient_remark)
    replace (
        {{ mask_name('nickname') }} as nickname,
        {{ mask_name('name') }} as name,
        {{ mask_id_number('id_number') }} as id_number,
        {{ mask_phone('phone') }} as phone
    )
from {{ same_file(ref('customer_attribute_history')) }}
