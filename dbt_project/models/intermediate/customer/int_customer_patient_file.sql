{% set asked = asked_of('patient') -%}
with
detached as ({{ detached() }}),
customers as (select * from {{ ref('int_patient_customer') }}),
patients as (select * from {{ ref('stg_saas__patients') }}),
own_phones as (select * from {{ ref('int_patient_own_phone') }}),
files as (
    select
        customers.customer_key,
        patients.patient_id,
        patients.updated_at,
        patients.clinic_id as file_clinic_id,
        {% for attribute, value in asked.items() -%}
        {{ value }} as {{ attribute }}{{ "," if not loop.last }}
        {% endfor %}
    from patients
    inner join customers using (patient_id)
    left join own_phones using (patient_id)
),
-- Most customers have one file; only the others pay for a competition of seventeen columns.
customers_with_several as (
    select
        customer_key,
        list_sort(list(distinct file_clinic_id)) as clinic_ids
    from files
    group by customer_key
    having count(*) > 1
),
only_files as (
    select
        *,
        struct_pack(identity_key := {{ patient_key('patient_id') }}, known_at := updated_at) as origin
    from files
    anti join customers_with_several using (customer_key)
),
competing_files as (select * from files semi join customers_with_several using (customer_key)),
winners as (
    select
        customer_key,
        {{ winners(dict(zip(asked, asked)), '', 'updated_at', 'patient_id', patient_key('patient_id')) }}
    from competing_files
    group by customer_key
)
select
    customer_key,
    {% for attribute in asked -%}
    {{ attribute }},
    case when {{ attribute }} is not null then origin end as {{ attribute }}_origin,
    {% endfor -%}
    [file_clinic_id] as clinic_ids
from only_files
union all
select
    winners.*,
    customers_with_several.clinic_ids
from winners
inner join customers_with_several using (customer_key)
