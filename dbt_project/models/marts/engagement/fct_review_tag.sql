with
reviews as (select review_id, customer_key, review_tags from {{ ref('fct_review') }})
-- A value named twice in one row is one value: the filters mean sets.
select review_id, customer_key, unnest(list_distinct(review_tags)) as review_tag from reviews
