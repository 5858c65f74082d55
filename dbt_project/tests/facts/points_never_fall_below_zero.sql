{{ config(severity='warn') }}
-- One row for each patient file whose ledger sums to less than nothing.
select patient_id, sum(points) as points from {{ ref('fct_points_entry') }} group by patient_id having sum(points) < 0
