import pandas as pd


def strict(df: pd.DataFrame) -> pd.DataFrame:
    speed = df.distance / df.hours
    if (speed > 450).any():
        raise ValueError(f"{speed.max():.0f} km/h")
    return df.assign(speed=speed)
