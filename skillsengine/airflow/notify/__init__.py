"""Who is told what: messages for people, over a connection of Airflow's."""
