select one_id from {{ ref('int_customer_of_two_names') }}
