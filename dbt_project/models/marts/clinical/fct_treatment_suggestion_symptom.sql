with
suggestions as (select suggestion_id, customer_key, symptoms from {{ ref('fct_treatment_suggestion') }})
-- A value named twice in one row is one value: the filters mean sets.
select suggestion_id, customer_key, unnest(list_distinct(symptoms)) as symptom from suggestions
