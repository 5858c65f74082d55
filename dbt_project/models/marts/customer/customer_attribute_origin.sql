with
files as (select * from {{ ref('int_customer_patient_file') }}),
contacts as (select * from {{ ref('int_customer_contact') }}),
origins as (
    select
        customer_key,
        {% for attribute in survivorship() -%}
        {{ surviving(attribute, '_origin') }} as {{ attribute }}{{ "," if not loop.last }}
        {% endfor %}
    from files
    full join contacts using (customer_key)
)
select
    customer_key,
    attribute,
    split_part(origin.identity_key, ':', 1) as source,
    origin.identity_key,
    origin.known_at
from (unpivot origins on columns(* exclude (customer_key)) into name attribute value origin)
